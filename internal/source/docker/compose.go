package docker

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// composeFile has what is read of a compose file.
type composeFile struct {
	Services map[string]composeService `yaml:"services"`
}

type composeService struct {
	ContainerName   value   `yaml:"container_name"`
	Image           value   `yaml:"image"`
	Build           value   `yaml:"build"`
	Restart         value   `yaml:"restart"`
	MemLimit        value   `yaml:"mem_limit"`
	CPUs            value   `yaml:"cpus"`
	StopGracePeriod value   `yaml:"stop_grace_period"`
	Ports           []value `yaml:"ports"`
	Healthcheck     *struct {
		Interval value `yaml:"interval"`
		Timeout  value `yaml:"timeout"`
		Retries  value `yaml:"retries"`
	} `yaml:"healthcheck"`
	Deploy struct {
		Replicas      value `yaml:"replicas"`
		RestartPolicy struct {
			Condition value `yaml:"condition"`
		} `yaml:"restart_policy"`
		Resources struct {
			Limits struct {
				Memory value `yaml:"memory"`
				CPUs   value `yaml:"cpus"`
			} `yaml:"limits"`
		} `yaml:"resources"`
	} `yaml:"deploy"`
}

// value is a simple value and its line. A mapping, as the long form of a port,
// is left as its members.
type value struct {
	text    string
	line    int
	members map[string]string
}

// UnmarshalYAML takes a node of any type.
func (v *value) UnmarshalYAML(n ast.Node) error {
	if t := n.GetToken(); t != nil && t.Position != nil {
		v.line = t.Position.Line
	}
	switch x := n.(type) {
	case *ast.StringNode:
		v.text = x.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		v.text = n.GetToken().Value
	case *ast.MappingNode:
		v.members = map[string]string{}
		for _, m := range x.Values {
			v.members[m.Key.String()] = strings.Trim(m.Value.String(), `"'`)
		}
	}
	return nil
}

// sniffCompose recognises a compose file by its services.
func sniffCompose(head []byte, _ string) source.Confidence {
	services, image := false, false
	for l := range bytes.Lines(head) {
		t := bytes.TrimSpace(l)
		if len(t) == 0 || t[0] == '#' {
			continue
		}
		switch top := l[0] != ' ' && l[0] != '\t'; {
		case bytes.HasPrefix(l, []byte("services:")):
			services = true
		case top && !services && !bytes.HasPrefix(l, []byte("---")) && !isComposeTop(l):
			return source.No
		case services && (bytes.HasPrefix(t, []byte("image:")) || bytes.HasPrefix(t, []byte("build:"))):
			image = true
		}
	}
	if services && image {
		return source.Sure
	}
	return source.No
}

func isComposeTop(l []byte) bool {
	for _, front := range [...]string{"version:", "name:", "x-", "networks:", "volumes:", "include:", "configs:", "secrets:", "- "} {
		if bytes.HasPrefix(l, []byte(front)) {
			return true
		}
	}
	return false
}

// The bounds of a compose file: the parser's cost grows with the square of the
// keys in one mapping.
const (
	maxCompose      = 512 << 10
	maxComposeLines = 10_000
	maxNesting      = 100
)

func readCompose(_ *source.Env, doc *source.Doc, out source.Sink) error {
	var f composeFile
	if err := parseCompose(doc.Data, &f); err != nil {
		return fmt.Errorf("read compose file: %w", err)
	}
	lines := bytes.Split(doc.Data, []byte{'\n'})
	for _, name := range slices.Sorted(maps.Keys(f.Services)) {
		s := f.Services[name]
		c := composed{s: &s, name: name, out: out, lines: lines}
		if s.ContainerName.text != "" {
			c.name = s.ContainerName.text
		}
		c.object = "service/" + name
		c.first = s.first()
		c.settings()
	}
	return nil
}

func parseCompose(data []byte, f *composeFile) (err error) {
	if len(data) > maxCompose || bytes.Count(data, []byte{'\n'}) > maxComposeLines {
		return fmt.Errorf("more than %d KiB or %d lines", maxCompose>>10, maxComposeLines)
	}
	if bytes.Count(data, []byte{'['})+bytes.Count(data, []byte{'{'}) > maxNesting*maxNesting || bytes.Contains(data, bytes.Repeat([]byte{'['}, maxNesting)) ||
		bytes.Contains(data, bytes.Repeat([]byte("  "), maxNesting)) {
		return errors.New("nested too deeply")
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("parse YAML: %v", r)
		}
	}()
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var y yaml.Error
		if errors.As(err, &y) {
			return errors.New(y.GetMessage())
		}
		return err
	}
	for _, d := range file.Docs {
		if d.Body != nil {
			if yaml.NodeToValue(d.Body, f, yaml.AllowDuplicateMapKey()); len(f.Services) > 0 {
				return nil
			}
		}
	}
	return errors.New("no services")
}

// first is a line of the service, for what stands nowhere.
func (s *composeService) first() int {
	for _, v := range [...]value{s.Image, s.Build, s.Restart, s.ContainerName} {
		if v.line > 0 {
			return v.line
		}
	}
	return 1
}

// composed states the settings of one service.
type composed struct {
	s            *composeService
	name, object string
	first        int
	lines        [][]byte
	out          source.Sink
}

// The defaults of a service: docs.docker.com/reference/compose-file/services.
const composeDoc = "https://docs.docker.com/reference/compose-file/services/"

func (c *composed) settings() {
	s := c.s
	restart := s.Restart
	if restart.text == "" {
		restart = s.Deploy.RestartPolicy.Condition
	}
	c.text(fact.RestartPolicy, "restart: unless-stopped", restart, "no")
	memory := s.MemLimit
	if memory.text == "" {
		memory = s.Deploy.Resources.Limits.Memory
	}
	if n := composeSize(memory.text); n.Known {
		x := c.setting(fact.MemoryLimit, "mem_limit: {n}", memory)
		x.Num = n
		c.out.State(x)
	} else if memory.text == "" {
		c.text(fact.MemoryLimit, "mem_limit: {n}", memory, "none")
	}
	cpus := s.CPUs
	if cpus.text == "" {
		cpus = s.Deploy.Resources.Limits.CPUs
	}
	if f, err := strconv.ParseFloat(cpus.text, 64); err == nil && f > 0 && f < 1e6 {
		x := c.setting(fact.CPULimit, "cpus:", cpus)
		x.Num = fact.Num(int64(f * 1000))
		c.out.State(x)
	}
	c.dur(fact.GracePeriod, "stop_grace_period: {s}s", c.object, s.StopGracePeriod, stopGrace*time.Second)
	if n := source.Int([]byte(s.Deploy.Replicas.text)); n.Known {
		x := c.setting(fact.Replicas, "replicas: {n}", s.Deploy.Replicas)
		x.Num = n
		c.out.State(x)
	}
	for _, p := range s.Ports {
		if m := portMapping(p); m != "" {
			x := c.setting(fact.PortMapping, "ports:", p)
			x.Text = m
			c.out.State(x)
		}
	}
	if h := s.Healthcheck; h != nil {
		name := c.object + " health-check"
		c.dur(fact.ProbePeriod, "interval: {s}s", name, h.Interval, 30*time.Second)
		c.dur(fact.ProbeTimeout, "timeout: {s}s", name, h.Timeout, 30*time.Second)
		x := c.setting(fact.ProbeThreshold, "retries: {n}", h.Retries)
		if x.Object, x.Num = name, source.Int([]byte(h.Retries.text)); h.Retries.text == "" {
			x.Num, x.Basis, x.Origin.URL = fact.Num(3), fact.Default, composeDoc
		}
		if x.Num.Known {
			c.out.State(x)
		}
	}
}

func (c *composed) setting(k fact.Knob, spelling string, v value) *fact.Setting {
	x := &fact.Setting{Knob: k, Basis: fact.Configured, Spelling: spelling, Where: "services." + strings.TrimPrefix(c.object, "service/"), Object: c.object}
	x.Party = container(c.name)
	n := v.line
	if n <= 0 {
		n = c.first
	}
	x.Origin = fact.Origin{Line: n}
	if n <= len(c.lines) {
		t := bytes.TrimSpace(c.lines[n-1])
		x.Origin.Text = string(t[:min(len(t), maxOutput)])
	}
	return x
}

// text states a value, or its default.
func (c *composed) text(k fact.Knob, spelling string, v value, normal string) {
	x := c.setting(k, spelling, v)
	if x.Text = v.text; v.text == "" {
		x.Text, x.Basis, x.Origin.URL = normal, fact.Default, composeDoc
	}
	c.out.State(x)
}

// dur states a duration, "1m30s", or its default.
func (c *composed) dur(k fact.Knob, spelling, object string, v value, normal time.Duration) {
	x := c.setting(k, spelling, v)
	x.Object, x.Dur = object, fact.Lasting(normal)
	if v.text == "" {
		x.Basis, x.Origin.URL = fact.Default, composeDoc
	} else {
		d, err := time.ParseDuration(v.text)
		if err != nil {
			return
		}
		x.Dur = fact.Lasting(d)
	}
	c.out.State(x)
}

// portMapping reads "127.0.0.1:8080:80/tcp", "8080:80" or the long form.
func portMapping(v value) string {
	if v.members != nil {
		if v.members["published"] == "" || v.members["target"] == "" {
			return ""
		}
		return v.members["published"] + "->" + v.members["target"]
	}
	s, _, _ := strings.Cut(v.text, "/")
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return ""
	}
	outer := s[:i]
	outer = outer[strings.LastIndexByte(outer, ':')+1:]
	if !isNumber([]byte(s[i+1:])) || !isNumber([]byte(outer)) {
		return ""
	}
	return outer + "->" + s[i+1:]
}

// composeSize reads "512m", "1g", "256M", "64kb" or bytes.
func composeSize(s string) fact.Int {
	t := strings.TrimSuffix(strings.ToLower(s), "b")
	shift := 0
	if n := len(t); n > 0 {
		switch t[n-1] {
		case 'k':
			shift = 10
		case 'm':
			shift = 20
		case 'g':
			shift = 30
		}
	}
	if shift > 0 {
		t = t[:len(t)-1]
	}
	n := source.Int([]byte(t))
	if !n.Known || n.N <= 0 || n.N > 1<<40 {
		return fact.Int{}
	}
	return fact.Num(n.N << shift)
}
