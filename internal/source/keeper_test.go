package source

import (
	"bytes"
	"reflect"
	"testing"

	"culprit/internal/fact"
)

// TestKeeperSharesNothing: a copy of a request, whatever fields it has or will
// have, survives that the line it points into is written over.
func TestKeeperSharesNothing(t *testing.T) {
	line := bytes.Repeat([]byte("abcdefghijklmnopqrstuvwxyz0123456789"), 8)
	var r fact.Request
	n := 0
	fillStrings(reflect.ValueOf(&r).Elem(), func() string {
		n++
		return View(line[n : n+3+n%70])
	})
	r.Origin.Text = View(line[:200])
	want := r.Clone()
	var k keeper
	got := k.request(&r)
	clear(line)
	if !reflect.DeepEqual(want, fact.Fact(got)) {
		t.Errorf("kept %+v\nwant %+v", got, want)
	}
}

func fillStrings(v reflect.Value, next func() string) {
	switch v.Kind() {
	case reflect.String:
		if v.Type() == reflect.TypeFor[string]() { // the others are constants
			v.SetString(next())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fillStrings(v.Field(i), next)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fillStrings(v.Index(i), next)
		}
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{next(): next(), next(): next()}))
	}
}
