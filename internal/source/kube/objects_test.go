package kube

import (
	"strings"
	"testing"

	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

// TestPartly reads documents of which only a part can be read.
func TestPartly(t *testing.T) {
	f := func(name, data string, facts, skipped int, wantErr string) {
		t.Helper()
		got, rep, err := sourcetest.Read(Formats, nil, name, []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, x := range got {
			if x.Head().Party.Name != "" {
				n++
			}
		}
		if n < facts || facts == 0 && n > 0 || rep.Skipped != skipped {
			t.Errorf("%s: %d facts, %d skipped; want %d, %d (%v)", name, n, rep.Skipped, facts, skipped, rep.Err)
		}
		if wantErr == "" && rep.Err != nil || wantErr != "" && (rep.Err == nil || !strings.Contains(rep.Err.Error(), wantErr)) {
			t.Errorf("%s: error %v, want %q", name, rep.Err, wantErr)
		}
	}
	const node = `{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-a"},"status":{"conditions":[{"type":"Ready","status":"False"}]}}`
	list := "{\"apiVersion\":\"v1\",\"items\":[" + node + ",\n" + node
	f("whole", list+"]}", 2, 0, "")
	f("cut between", list, 2, 1, "")
	f("cut within", list+",\n"+node[:60], 2, 1, "")
	f("cut at once", node[:60], 0, 0, "read JSON: unexpected EOF")
	f("stream", node+"\n"+node, 2, 0, "")
	f("raw list", `{"kind":"NodeList","apiVersion":"v1","metadata":{},"items":[{"metadata":{"name":"node-a"},"status":{"conditions":[{"type":"Ready","status":"Unknown"}]}}]}`, 1, 0, "")

	const good = "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\nspec: {ports: [{port: 80}]}\n"
	const template = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ .Release.Name }}-api\n"
	f("template last", good+"---\n"+template, 1, 1, "")
	f("template first", template+"---\n"+good, 1, 1, "")
	f("template alone", template, 0, 1, "read YAML: line")
	f("a kind nobody reads", "apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n", 0, 0, "")
	f("deep", "apiVersion: v1\nkind: Pod\nmetadata: "+strings.Repeat("[", 200)+"\n---\n"+good, 1, 1, "")
	f("aliases", "apiVersion: v1\nkind: Pod\nmetadata: ["+strings.Repeat("&a x, *a, ", 100)+"]\n---\n"+good, 1, 1, "")
	f("long", "apiVersion: v1\nkind: Pod\nmetadata:\n"+strings.Repeat("  a: b\n", maxLines)+"---\n"+good, 1, 1, "")
}

func TestSniffObjects(t *testing.T) {
	f := func(text string, want bool) {
		t.Helper()
		if got := sniffObjects([]byte(text), "x") != source.No; got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	f("apiVersion: v1\nkind: Pod\n", true)
	f("# a comment\n---\nkind: Pod\napiVersion: v1\n", true)
	f("{{- if .Values.on }}\napiVersion: v1\nkind: Pod\n", true)
	f(`{"apiVersion":"v1","kind":"Pod","metadata":{}}`, true)
	f(`[{"involvedObject":{},"reason":"x"}]`, true)
	f("readinessProbe:\n  httpGet: {path: /}\n", true)
	f("some text\napiVersion: v1\nkind: Pod\n", false)
	f("services:\n  web:\n    image: x\n", false)
	f("the readinessProbe: was wrong\nand so on\n", false)
	f(`{"insertId":"a","logName":"projects/p/logs/events","jsonPayload":{"apiVersion":"v1","kind":"Event","metadata":{}}}`, false)
	f(`{"level":"info","msg":"hello"}`, false)
}
