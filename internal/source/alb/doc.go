// Package alb reads the access logs of Amazon's load balancers: Application
// Load Balancers with any number of trailing fields, their connection logs,
// Network Load Balancers' TLS logs, Classic Load Balancers, and tables made of
// them (Athena, spreadsheets, tickets).
//
// Fields, the meaning of -1 and of status codes:
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html and
// .../load-balancer-troubleshooting.html. The stamp of an Application Load
// Balancer's line is the instant of the answer, that of a Classic one the
// arrival of the request.
package alb

import "culprit/internal/source"

const tech = "alb"

// Formats lists what Amazon's load balancers write.
var Formats = []source.Format{
	{
		ID: "alb-access", Tech: tech, Title: "AWS Application Load Balancer access log",
		Sniff:       sniffALB,
		NewReader:   func(env *source.Env) source.LineReader { return &albReader{env: env} },
		Independent: true,
	},
	{
		ID: "elb-access", Tech: tech, Title: "AWS Classic Load Balancer access log",
		Sniff:       sniffClassic,
		NewReader:   func(env *source.Env) source.LineReader { return &classicReader{env: env} },
		Independent: true,
	},
	resource,
	{
		ID: "alb-table", Tech: tech, Title: "table or CSV of AWS load balancer log fields",
		Sniff:     sniffTable,
		NewReader: func(env *source.Env) source.LineReader { return &tableReader{env: env} },
	},
}
