//go:build race

package recorder

func init() { raced = true } // there is no other way to ask
