package node

import (
	"bytes"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// serverFile reads a whole file of server code: the settings in it, and what
// Node does where nothing is set.
var serverFile = source.Format{
	ID: "node-server", Tech: tech, Title: "Node.js server code",
	SniffDoc: func(head []byte, _ string) source.Confidence {
		serves, modules := false, false
		for _, w := range servers {
			serves = serves || source.Has(head, w)
		}
		for _, w := range imports {
			modules = modules || source.Has(head, w)
		}
		if serves && modules {
			return source.Sure
		}
		return source.No
	},
	ReadDoc: readServer,
}

// servers make an HTTP server; imports are how Node's modules are named.
var (
	servers = []string{".createServer(", "express()", "fastify(", "Fastify(", "new Koa(", "NestFactory.create(", "hapi.server(", "Hapi.server("}
	imports = []string{"require('", `require("`, "from 'node:", `from "node:`, "from 'http", `from "http`, "from 'express'", `from "express"`, "from 'fastify'", `from "fastify"`, "from '@nestjs/", `from "@nestjs/`, "from 'koa'", `from "koa"`}
)

// fastifyIdle is Fastify's own default of keepAliveTimeout (72 s).
const fastifyIdle = 72

func readServer(_ *source.Env, doc *source.Doc, out source.Sink) error {
	var r codeReader
	set := settings{Sink: out, knobs: map[fact.Knob]bool{}}
	n, at := 0, 0
	for text := range bytes.Lines(doc.Data) {
		n++
		l := source.Line{Text: bytes.TrimRight(text, "\r\n"), Path: doc.Path, N: n}
		if at == 0 {
			for _, w := range servers {
				if source.Has(l.Text, w) {
					at = n
				}
			}
		}
		if len(l.Text) <= 1024 {
			r.read(&l, &set)
		}
	}
	idle := fact.Dur{}
	if source.Has(doc.Data, "astify(") {
		idle = fact.Seconds(fastifyIdle)
	}
	defaults(&source.Line{Path: doc.Path, N: max(at, 1)}, &unset{Sink: out, set: set.knobs, idle: idle})
	return nil
}

// settings notes which knobs the code sets.
type settings struct {
	source.Sink
	knobs map[fact.Knob]bool
}

// State implements [source.Sink].
func (s *settings) State(f fact.Fact) {
	if x, ok := f.(*fact.Setting); ok {
		s.knobs[x.Knob] = true
	}
	s.Sink.State(f)
}

// unset lets the defaults through of what the code does not set.
type unset struct {
	source.Sink
	set  map[fact.Knob]bool
	idle fact.Dur // a framework's own default
}

// State implements [source.Sink].
func (u *unset) State(f fact.Fact) {
	x, ok := f.(*fact.Setting)
	if !ok || u.set[x.Knob] {
		return
	}
	if x.Knob == fact.KeepAliveIdle && u.idle.Known {
		x.Dur, x.Text, x.Origin.URL = u.idle, "", "https://fastify.dev/docs/latest/Reference/Server/#keepalivetimeout"
	}
	u.Sink.State(x)
}
