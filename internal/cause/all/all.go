// Package all lists every cause. A new one is one line.
package all

import (
	"culprit/internal/cause"
	"culprit/internal/cause/connectrefused"
	"culprit/internal/cause/keepaliverace"
)

// Causes returns the catalogue.
func Causes() []*cause.Cause {
	return []*cause.Cause{
		&connectrefused.Cause,
		&keepaliverace.Cause,
	}
}
