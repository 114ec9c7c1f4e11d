package crash

import (
	"fmt"

	"culprit/internal/cause"
	"culprit/internal/fact"
)

// fix tells what to mend, by how it died and of what it is made.
func fix(x *fact.Event) cause.Fix {
	f := cause.Fix{Summary: "Find the last lines before " + who(x) + " died, and mend what they name; until then run several instances, restarted at once."}
	switch {
	case x.Kind == fact.HeapExhausted:
		f.Summary = "The run time's own heap limit was reached: find the leak, or raise the limit if the work really needs it."
		switch x.Party.Tech {
		case "node":
			f.Patch = "NODE_OPTIONS=--max-old-space-size=1536   # MiB; at most three quarters of the container's memory"
			f.Steps = append(f.Steps, "node --heapsnapshot-near-heap-limit=2 ... writes what fills it")
		case "jvm":
			f.Patch = "-XX:MaxRAMPercentage=70 -XX:+ExitOnOutOfMemoryError -XX:+HeapDumpOnOutOfMemoryError"
		}
	case x.Signal == 11 || x.Reason == "SIGSEGV" || x.Signal == 7:
		f.Summary = "A segmentation fault is a defect of native code: the server itself, or a module loaded into it. Update it, or switch modules off one by one."
		f.Steps = append(f.Steps, "journalctl -k -o short-iso | grep segfault   # the library is named at the end of the line", "coredumpctl info "+name(x)+"   # the stack at the fault")
		if x.Party.Tech == "phpfpm" {
			f.Steps = append(f.Steps, "PHP: the usual ones are opcache (opcache.enable=0 or opcache.jit=0 for a test) and loaded extensions (php -m)")
		}
		if x.Party.Tech == "nginx" {
			f.Steps = append(f.Steps, "nginx: load_module lines and third-party modules first; nginx -V lists them")
		}
	case x.Reason == "uncaught" || x.Party.Tech == "node":
		f.Summary = "An error that nobody caught ended the process: handle it where it arises, above all rejected promises and 'error' events."
	case x.Reason == "panic" || x.Party.Tech == "golang":
		f.Summary = "A panic outside of a request's own goroutine ends the whole process: mend it, and recover() in goroutines of your own."
	case x.Kind == fact.ProcessStopping:
		f.Summary = "The liveness probe found it dead and it was killed: find out what it hung on, and let the probe ask for nothing but the process itself."
		f.Steps = append(f.Steps, "before the next kill: a thread or goroutine dump, or py-spy/jstack on the process")
	}
	switch x.Party.Tech {
	case "journal":
		if f.Patch == "" {
			f.Patch = "[Service]\nRestart=on-failure\nRestartSec=1"
		}
		f.Steps = append(f.Steps, fmt.Sprintf("journalctl -u %s -o short-iso -n 200   # what it said before it died", name(x)))
	case "kube":
		f.Steps = append(f.Steps, fmt.Sprintf("kubectl logs %s --previous --timestamps | tail -100   # what it said before it died", name(x)))
	case "docker":
		if f.Patch == "" {
			f.Patch = "docker update --restart unless-stopped " + name(x)
		}
		f.Steps = append(f.Steps, fmt.Sprintf("docker logs -t --tail 100 %s   # what it said before it died", name(x)))
	}
	return f
}

func name(x *fact.Event) string {
	if x.Party.Name == "" {
		return "NAME"
	}
	return x.Party.Name
}

func next(x *fact.Event) []cause.Next {
	n := cause.Next{Evidence: "the server's own last lines before it died", Command: "journalctl -u UNIT -o short-iso -n 200", WouldTell: "what it died of"}
	switch x.Party.Tech {
	case "kube":
		n.Command = "kubectl logs " + name(x) + " --previous --timestamps | tail -100; kubectl describe pod " + name(x)
	case "docker":
		n.Command = "docker logs -t --tail 100 " + name(x)
	case "linux":
		n.Command = "coredumpctl list; coredumpctl info"
	}
	return []cause.Next{n}
}
