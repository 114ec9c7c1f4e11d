// Verdict reads `go test -json` from standard input, prints what failed, and
// the counts; it fails if a test failed or was skipped for a missing server.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

func main() {
	if err := run(); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

type event struct {
	Action, Package, Test, Output string
}

func run() error {
	passed, failed, skipped := 0, 0, 0
	output := map[string][]string{}
	var missing []string
	sc := bufio.NewScanner(os.Stdin)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var e event
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
			fmt.Println(sc.Text())
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "output", "build-output":
			output[key] = append(output[key], e.Output)
		case "pass":
			if e.Test != "" {
				passed++
			} else {
				fmt.Printf("ok   %s\n", e.Package)
			}
			delete(output, key)
		case "skip":
			if e.Test != "" {
				skipped++
				text := strings.Join(output[key], "")
				fmt.Printf("SKIP %s\n%s", key, text)
				if strings.Contains(text, "not installed") || strings.Contains(text, "apt-get install") {
					missing = append(missing, key)
				}
			}
			delete(output, key)
		case "fail", "build-fail":
			if e.Test != "" {
				failed++
			}
			fmt.Printf("FAIL %s\n%s", key, strings.Join(output[key], ""))
			if e.Test == "" {
				failed++
			}
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("read test output: %w", err)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	switch {
	case failed > 0:
		return fmt.Errorf("%d failures", failed)
	case len(missing) > 0:
		return fmt.Errorf("skipped for a missing server: %s", strings.Join(missing, ", "))
	}
	return nil
}
