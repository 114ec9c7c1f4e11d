package kube

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// sniffObjects recognises JSON and YAML objects by what stands first.
func sniffObjects(head []byte, _ string) source.Confidence {
	t := bytes.TrimLeft(head, " \t\r\n")
	if len(t) == 0 {
		return source.No
	}
	if c := sniffWhole(t); c != source.No {
		return c
	}
	return sniffSnippet(t)
}

// isJSON reports whether a text without leading blanks is JSON, and no template
// of YAML.
func isJSON(t []byte) bool {
	return len(t) > 0 && (t[0] == '[' || t[0] == '{' && (len(t) < 2 || t[1] != '{'))
}

func sniffWhole(t []byte) source.Confidence {
	if isJSON(t) {
		return sniffJSON(t)
	}
	first := true
	api, kind := false, false
	for l := range bytes.Lines(t) {
		if api = api || bytes.HasPrefix(l, []byte("apiVersion:")) || bytes.HasPrefix(l, []byte("- apiVersion:")); api && kind {
			return source.Sure
		}
		kind = kind || bytes.HasPrefix(l, []byte("kind:")) || bytes.HasPrefix(l, []byte("  kind:"))
		if len(bytes.TrimSpace(l)) == 0 || l[0] == '#' || !first {
			continue
		}
		first = false
		if !isYAMLStart(l) {
			return source.No
		}
	}
	if api && kind {
		return source.Sure
	}
	return source.No
}

func sniffJSON(t []byte) source.Confidence {
	front := t[:min(len(t), 300)]
	if source.Has(t, `"logName"`) || source.Has(t, `"insertId"`) {
		return source.No // an export of Google's logs, which may hold events among others
	}
	object := source.Has(front, `"apiVersion"`) || source.Has(front, `"kind"`)
	switch {
	case object && source.Has(t, `"kind"`) && source.Has(t, `"apiVersion"`) && (source.Has(t, `"metadata"`) || source.Has(t, `"items"`)):
		return source.Sure
	case t[0] == '[' && source.Has(t, `"involvedObject"`) && source.Has(t, `"reason"`):
		return source.Sure
	}
	return source.No
}

// isYAMLStart reports whether an object may begin with line l.
func isYAMLStart(l []byte) bool {
	for _, front := range [...]string{"apiVersion:", "kind:", "---", "metadata:", "items:", "- apiVersion:", "spec:", "status:", "data:", "{{", "%YAML"} {
		if bytes.HasPrefix(l, []byte(front)) {
			return true
		}
	}
	return false
}

// reader reads the objects of one document.
type reader struct {
	teller
	env *source.Env
	doc *source.Doc
	rel relations

	// The object that is read: its lines, and, in JSON, its first.
	cur  *chunk
	line int
	name string
}

// readObjects reads objects one by one, so that no more than one of a long
// list is held as a tree.
func readObjects(env *source.Env, doc *source.Doc, out source.Sink) error {
	r := &reader{env: env, doc: doc, teller: teller{out: out}}
	t := bytes.TrimLeft(doc.Data, " \t\r\n")
	var err error
	if len(t) > 0 && sniffWhole(t[:min(len(t), source.HeadSize)]) == source.No && sniffSnippet(t[:min(len(t), source.HeadSize)]) != source.No {
		err = r.snippet()
	} else if isJSON(t) {
		err = r.json()
	} else {
		err = r.yaml()
	}
	r.relate()
	r.close()
	return err
}

// yaml reads all documents. What does not parse, a template say, is counted
// and left out.
func (r *reader) yaml() error {
	read, bad, squares := 0, 0, 0
	var first error
	documents(r.doc.Data, func(c chunk) {
		kind := c.kindLine()
		if !wanted(kind) {
			read++
			return
		}
		body, line, err := c.parse(&squares)
		if err != nil {
			if bad++; first == nil {
				first = fmt.Errorf("line %d: %w", line, err)
			}
			r.doc.Skip(line, kind+": "+err.Error())
			return
		}
		read++
		r.cur = &c
		r.object(kind, func(v any) { decode(body, v) })
		r.cur = nil
	})
	if read == 0 && bad > 0 {
		return fmt.Errorf("read YAML: %w", first)
	}
	return nil
}

// json reads a stream of values: objects, lists of them, arrays of them.
func (r *reader) json() error {
	dec := json.NewDecoder(bytes.NewReader(r.doc.Data))
	lines := lineCounter{data: r.doc.Data}
	read := 0
	fail := func(err error) error {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if read == 0 {
			return fmt.Errorf("read JSON: %w", err)
		}
		r.doc.Skip(lines.at(dec.InputOffset()), err.Error())
		return nil
	}
	for {
		line := lines.at(dec.InputOffset())
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) && read > 0 {
			return nil
		}
		if err != nil {
			return fail(err)
		}
		switch tok {
		case json.Delim('{'):
			err = r.jsonObject(dec, &lines, line, &read)
		case json.Delim('['):
			err = r.jsonItems(dec, &lines, "", &read)
		default:
			err = errors.New("a value that is no object")
		}
		if err != nil {
			return fail(err)
		}
	}
}

// jsonObject reads the members of an object whose brace was read. The items of
// a list are read as they come; of anything else the members are put together
// again.
func (r *reader) jsonObject(dec *json.Decoder, lines *lineCounter, line int, read *int) error {
	whole := []byte{'{'}
	kind, isList := "", false
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		if key == "items" && dec.More() {
			next, err := dec.Token()
			if err != nil {
				return err
			}
			if next == json.Delim('[') {
				isList = true
				if err := r.jsonItems(dec, lines, strings.TrimSuffix(kind, "List"), read); err != nil {
					return err
				}
			}
			continue
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		if key == "kind" {
			json.Unmarshal(raw, &kind)
		}
		if k, err := json.Marshal(key); err == nil {
			if len(whole) > 1 {
				whole = append(whole, ',')
			}
			whole = append(append(append(whole, k...), ':'), raw...)
		}
	}
	if _, err := dec.Token(); err != nil {
		return err
	}
	if *read++; !isList {
		r.jsonOne(append(whole, '}'), "", line)
	}
	return nil
}

func (r *reader) jsonItems(dec *json.Decoder, lines *lineCounter, kind string, read *int) error {
	for dec.More() {
		line := lines.at(dec.InputOffset())
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		*read++
		r.jsonOne(raw, kind, line)
	}
	_, err := dec.Token()
	return err
}

// jsonOne reads one object. An entry of Google's Cloud Logging holds one as
// its payload.
func (r *reader) jsonOne(raw []byte, kind string, line int) {
	var h struct {
		head
		Items   []json.RawMessage `json:"items"`
		Payload json.RawMessage   `json:"jsonPayload"`
	}
	json.Unmarshal(raw, &h)
	if h.Kind.text != "" {
		kind = h.Kind.text
	}
	for _, item := range h.Items {
		r.jsonOne(item, strings.TrimSuffix(kind, "List"), line)
	}
	if kind == "" && len(h.Payload) > 0 {
		raw, kind = h.Payload, "Event"
	}
	if kind == "" && bytes.Contains(raw, []byte(`"involvedObject"`)) {
		kind = "Event" // an exporter's
	}
	if strings.HasPrefix(h.APIVersion.text, "audit.") {
		return
	}
	r.line = line
	r.object(kind, func(v any) { json.Unmarshal(raw, v) })
	r.line = 0
}

// wanted are the kinds that are read.
func wanted(kind string) bool {
	switch kind {
	case "Pod", "Node", "Event", "Deployment", "StatefulSet", "ReplicaSet", "DaemonSet", "Rollout",
		"Endpoints", "EndpointSlice", "PodDisruptionBudget", "Service", "Ingress", "HorizontalPodAutoscaler",
		"BackendConfig", "GCPBackendPolicy", "HealthCheckPolicy", "ConfigMap":
		return true
	}
	return false
}

// object reads one object of a known kind with fill, which decodes it.
func (r *reader) object(kind string, fill func(any)) {
	switch kind {
	case "Pod":
		var x pod
		fill(&x)
		r.readPod(&x)
	case "Node":
		var x node
		fill(&x)
		r.readNode(&x)
	case "Event":
		var x eventObject
		fill(&x)
		r.readEvent(&x)
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout":
		var x workload
		fill(&x)
		r.readWorkload(kind, &x)
	default:
		r.readNetwork(kind, fill)
	}
}

// at is where a scalar stands.
func (r *reader) at(s scalar) fact.Origin {
	if r.cur == nil {
		return fact.Origin{Line: max(r.line, 1), Text: r.name}
	}
	n := r.cur.base + max(s.line, 1)
	return fact.Origin{Line: n, Text: r.cur.lineText(n)}
}

// named makes the object of an object's metadata, and remembers its name for
// the origins of what it tells.
func (r *reader) named(kind string, m *meta) object {
	o := object{kind: kind, namespace: m.Namespace.text, name: m.Name.text}
	if o.name == "" {
		o.name = strings.TrimSuffix(m.GenerateName.text, "-")
	}
	r.name = kind + "/" + o.name
	return o
}

// lineCounter tells the number of the line at rising offsets.
type lineCounter struct {
	data     []byte
	off, num int
}

// at is the line of the first byte after offset that is no blank or comma.
func (c *lineCounter) at(offset int64) int {
	to := max(int(offset), c.off)
	for to < len(c.data) && strings.IndexByte(" \t\r\n,", c.data[to]) >= 0 {
		to++
	}
	c.num += bytes.Count(c.data[c.off:to], []byte{'\n'})
	c.off = to
	return c.num + 1
}
