// Package azure reads the access, firewall and probe logs of Azure's
// Application Gateway (v1 and v2) and Front Door: records as diagnostic
// settings export them, one a line or as an array in "records", and the rows of
// Log Analytics, whose names carry a type suffix or begin with a capital.
//
// Fields and error words: https://learn.microsoft.com/azure/application-gateway/monitor-application-gateway-reference and
// https://learn.microsoft.com/azure/frontdoor/monitor-front-door-reference. Application Gateway v1 writes
// timeTaken in milliseconds, v2 in seconds.
package azure

import "culprit/internal/source"

const tech = "azure"

// Formats lists what Azure's gateways write.
var Formats = []source.Format{
	{
		ID: "azure-log", Tech: tech, Title: "Azure Application Gateway or Front Door log",
		Sniff:       sniffLine,
		NewReader:   func(env *source.Env) source.LineReader { return newReader(env) },
		Independent: true,
	},
	{
		ID: "azure-records", Tech: tech, Title: "Azure gateway log as an array of records",
		SniffDoc: sniffDoc, ReadDoc: readDoc,
	},
	{
		ID: "azure-words", Tech: tech, Title: "error words of Azure's gateways",
		Sniff:       sniffWords,
		NewReader:   func(*source.Env) source.LineReader { return &wordsReader{} },
		Independent: true,
	},
}
