package report

import "io"

// Markdown writes the report for a ticket.
func Markdown(w io.Writer, r *Report) error { return Text(w, r) }
