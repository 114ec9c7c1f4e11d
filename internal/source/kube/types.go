package kube

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// scalar is a value of any simple type, as text, with its line in YAML. What
// is no simple value (a template's hole, say) is left out rather than refused.
type scalar struct {
	text string
	line int // within the object's text; 0 if not known
}

// UnmarshalJSON implements [json.Unmarshaler].
func (s *scalar) UnmarshalJSON(b []byte) error {
	switch b = bytes.TrimSpace(b); {
	case len(b) == 0 || b[0] == '{' || b[0] == '[' || string(b) == "null":
	case b[0] == '"':
		return json.Unmarshal(b, &s.text)
	default:
		s.text = string(b)
	}
	return nil
}

// UnmarshalYAML takes a node of any type.
func (s *scalar) UnmarshalYAML(n ast.Node) error {
	switch x := n.(type) {
	case *ast.AnchorNode:
		return s.UnmarshalYAML(x.Value)
	case *ast.TagNode:
		return s.UnmarshalYAML(x.Value)
	case *ast.StringNode:
		s.text = x.Value
	case *ast.LiteralNode:
		s.text = x.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		s.text = n.GetToken().Value
	default:
		return nil
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		s.line = t.Position.Line
	}
	return nil
}

func (s scalar) int() fact.Int { return source.Int([]byte(s.text)) }

func (s scalar) is(text string) bool { return s.text == text }

// seconds reads whole seconds.
func (s scalar) seconds() fact.Dur {
	n := s.int()
	if !n.Known || n.N < 0 || n.N > 1e9 {
		return fact.Dur{}
	}
	return fact.Seconds(float64(n.N))
}

type meta struct {
	Name                       scalar            `json:"name"`
	GenerateName               scalar            `json:"generateName"`
	Namespace                  scalar            `json:"namespace"`
	Labels                     map[string]scalar `json:"labels"`
	Annotations                map[string]scalar `json:"annotations"`
	CreationTimestamp          scalar            `json:"creationTimestamp"`
	DeletionTimestamp          scalar            `json:"deletionTimestamp"`
	DeletionGracePeriodSeconds scalar            `json:"deletionGracePeriodSeconds"`
	OwnerReferences            []struct {
		Kind scalar `json:"kind"`
		Name scalar `json:"name"`
	} `json:"ownerReferences"`
}

// head is what every object has.
type head struct {
	APIVersion scalar `json:"apiVersion"`
	Kind       scalar `json:"kind"`
	Metadata   meta   `json:"metadata"`
}

type selector struct {
	MatchLabels      map[string]scalar `json:"matchLabels"`
	MatchExpressions []struct {
		Key      scalar   `json:"key"`
		Operator scalar   `json:"operator"`
		Values   []scalar `json:"values"`
	} `json:"matchExpressions"`
}

// matches reports whether labels fit. An empty selector fits all, a missing
// one none.
func (s *selector) matches(labels map[string]scalar) bool {
	if s == nil {
		return false
	}
	for k, v := range s.MatchLabels {
		if l, ok := labels[k]; !ok || l.text != v.text {
			return false
		}
	}
	for _, x := range s.MatchExpressions {
		l, has := labels[x.Key.text]
		in := false
		for _, v := range x.Values {
			in = in || has && v.text == l.text
		}
		switch x.Operator.text {
		case "In":
			if !in {
				return false
			}
		case "NotIn":
			if in {
				return false
			}
		case "Exists":
			if !has {
				return false
			}
		case "DoesNotExist":
			if has {
				return false
			}
		}
	}
	return true
}

type podTerm struct {
	LabelSelector *selector `json:"labelSelector"`
	TopologyKey   scalar    `json:"topologyKey"`
}

type podSpec struct {
	Containers     []container `json:"containers"`
	InitContainers []container `json:"initContainers"`
	NodeName       scalar      `json:"nodeName"`
	GracePeriod    scalar      `json:"terminationGracePeriodSeconds"`
	RestartPolicy  scalar      `json:"restartPolicy"`
	Affinity       struct {
		PodAntiAffinity struct {
			Required  []podTerm `json:"requiredDuringSchedulingIgnoredDuringExecution"`
			Preferred []struct {
				Term podTerm `json:"podAffinityTerm"`
			} `json:"preferredDuringSchedulingIgnoredDuringExecution"`
		} `json:"podAntiAffinity"`
	} `json:"affinity"`
	Spread []struct {
		TopologyKey       scalar    `json:"topologyKey"`
		LabelSelector     *selector `json:"labelSelector"`
		WhenUnsatisfiable scalar    `json:"whenUnsatisfiable"`
	} `json:"topologySpreadConstraints"`
}

type container struct {
	Name  scalar `json:"name"`
	Ports []struct {
		Name          scalar `json:"name"`
		ContainerPort scalar `json:"containerPort"`
	} `json:"ports"`
	LivenessProbe  *probe `json:"livenessProbe"`
	ReadinessProbe *probe `json:"readinessProbe"`
	StartupProbe   *probe `json:"startupProbe"`
	Lifecycle      struct {
		PreStop *Handler `json:"preStop"`
	} `json:"lifecycle"`
	Resources struct {
		Limits map[string]scalar `json:"limits"`
	} `json:"resources"`
}

// Handler is how a probe or a hook acts.
type Handler struct {
	HTTPGet *struct {
		Path scalar `json:"path"`
		Port scalar `json:"port"`
	} `json:"httpGet"`
	TCPSocket *struct {
		Port scalar `json:"port"`
	} `json:"tcpSocket"`
	GRPC *struct {
		Port scalar `json:"port"`
	} `json:"grpc"`
	Exec *struct {
		Command []scalar `json:"command"`
	} `json:"exec"`
	Sleep *struct {
		Seconds scalar `json:"seconds"`
	} `json:"sleep"`
}

type probe struct {
	Handler          `yaml:",inline"`
	TimeoutSeconds   scalar `json:"timeoutSeconds"`
	PeriodSeconds    scalar `json:"periodSeconds"`
	FailureThreshold scalar `json:"failureThreshold"`
}

// what is the probe as the knobs' Text.
func (p *probe) what() string {
	switch {
	case p == nil:
		return ""
	case p.HTTPGet != nil:
		path := p.HTTPGet.Path.text
		if path == "" {
			path = "/"
		}
		return "http " + path
	case p.TCPSocket != nil:
		return "tcp :" + p.TCPSocket.Port.text
	case p.GRPC != nil:
		return "grpc :" + p.GRPC.Port.text
	case p.Exec != nil:
		return "exec " + command(p.Exec.Command)
	}
	return ""
}

func command(words []scalar) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(w.text)
	}
	return detail(b.String())
}

type objectCondition struct {
	Type               scalar `json:"type"`
	Status             scalar `json:"status"`
	Reason             scalar `json:"reason"`
	Message            scalar `json:"message"`
	LastTransitionTime scalar `json:"lastTransitionTime"`
}

// workload is a Deployment, StatefulSet, ReplicaSet or DaemonSet.
type workload struct {
	Metadata meta `json:"metadata"`
	Spec     struct {
		Replicas scalar    `json:"replicas"`
		Selector *selector `json:"selector"`
		Template struct {
			Metadata meta    `json:"metadata"`
			Spec     podSpec `json:"spec"`
		} `json:"template"`
		Strategy struct {
			Type          scalar `json:"type"`
			RollingUpdate struct {
				MaxUnavailable scalar `json:"maxUnavailable"`
			} `json:"rollingUpdate"`
		} `json:"strategy"`
	} `json:"spec"`
	Status struct {
		Replicas          scalar            `json:"replicas"`
		AvailableReplicas scalar            `json:"availableReplicas"`
		Conditions        []objectCondition `json:"conditions"`
	} `json:"status"`
}

type containerState struct {
	Running *struct {
		StartedAt scalar `json:"startedAt"`
	} `json:"running"`
	Waiting *struct {
		Reason  scalar `json:"reason"`
		Message scalar `json:"message"`
	} `json:"waiting"`
	Terminated *struct {
		Reason     scalar `json:"reason"`
		Message    scalar `json:"message"`
		ExitCode   scalar `json:"exitCode"`
		StartedAt  scalar `json:"startedAt"`
		FinishedAt scalar `json:"finishedAt"`
	} `json:"terminated"`
}

type containerStatus struct {
	Name         scalar         `json:"name"`
	Ready        scalar         `json:"ready"`
	RestartCount scalar         `json:"restartCount"`
	State        containerState `json:"state"`
	LastState    containerState `json:"lastState"`
}

type pod struct {
	Metadata meta    `json:"metadata"`
	Spec     podSpec `json:"spec"`
	Status   struct {
		Phase          scalar            `json:"phase"`
		Reason         scalar            `json:"reason"`
		Message        scalar            `json:"message"`
		PodIP          scalar            `json:"podIP"`
		StartTime      scalar            `json:"startTime"`
		Conditions     []objectCondition `json:"conditions"`
		Containers     []containerStatus `json:"containerStatuses"`
		InitContainers []containerStatus `json:"initContainerStatuses"`
	} `json:"status"`
}

type node struct {
	Metadata meta `json:"metadata"`
	Spec     struct {
		Unschedulable scalar `json:"unschedulable"`
		Taints        []struct {
			Key       scalar `json:"key"`
			TimeAdded scalar `json:"timeAdded"`
		} `json:"taints"`
	} `json:"spec"`
	Status struct {
		Conditions []objectCondition `json:"conditions"`
	} `json:"status"`
}

type objectRef struct {
	Kind      scalar `json:"kind"`
	Namespace scalar `json:"namespace"`
	Name      scalar `json:"name"`
	FieldPath scalar `json:"fieldPath"`
}

// eventObject is an Event of either group: v1 and events.k8s.io.
type eventObject struct {
	Metadata       meta       `json:"metadata"`
	InvolvedObject *objectRef `json:"involvedObject"`
	Regarding      *objectRef `json:"regarding"`
	Reason         scalar     `json:"reason"`
	Message        scalar     `json:"message"`
	Note           scalar     `json:"note"`
	Source         struct {
		Component scalar `json:"component"`
		Host      scalar `json:"host"`
	} `json:"source"`
	ReportingInstance        scalar `json:"reportingInstance"`
	FirstTimestamp           scalar `json:"firstTimestamp"`
	LastTimestamp            scalar `json:"lastTimestamp"`
	DeprecatedFirstTimestamp scalar `json:"deprecatedFirstTimestamp"`
	DeprecatedLastTimestamp  scalar `json:"deprecatedLastTimestamp"`
	DeprecatedCount          scalar `json:"deprecatedCount"`
	EventTime                scalar `json:"eventTime"`
	Count                    scalar `json:"count"`
	Series                   *struct {
		Count            scalar `json:"count"`
		LastObservedTime scalar `json:"lastObservedTime"`
	} `json:"series"`
}
