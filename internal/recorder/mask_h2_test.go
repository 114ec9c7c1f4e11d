package recorder

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// h2Frame makes a frame.
func h2Frame(kind, flags byte, body []byte) []byte {
	n := len(body)
	return slices.Concat([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags, 0, 0, 0, 1}, body)
}

// h2Requests are what a client sends, and the fields of each request. The last
// two of the first connection's requests use its dynamic table.
func h2Requests(huffman bool) (stream []byte, all [][]hpack.HeaderField) {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	stream = slices.Concat(h2Preface, h2Frame(h2Settings, 0, nil))
	for i, path := range []string{"/shop", "/a?token=S3CR3T&b=1", "/b?", "/a?token=S3CR3T&b=1"} {
		fields := []hpack.HeaderField{
			{Name: ":method", Value: "GET"}, {Name: ":path", Value: path}, {Name: "authorization", Value: "Bearer S3CR3T", Sensitive: i == 1},
			{Name: "x-request-id", Value: strings.Repeat("4f", 8+i)}, {Name: "x-api-key", Value: "S3CR3T"}, {Name: "cookie", Value: "a=S3CR3T" + string(rune('0'+i))},
			{Name: "accept", Value: "*/*"},
		}
		block.Reset()
		if huffman {
			for _, f := range fields {
				enc.WriteField(f)
			}
		} else {
			for _, f := range fields { // spelt out, and not packed
				block.WriteByte(0)
				for _, text := range []string{f.Name, f.Value} {
					block.WriteByte(byte(len(text)))
					block.WriteString(text)
				}
			}
		}
		b := bytes.Clone(block.Bytes())
		switch i {
		case 0:
			stream = append(stream, h2Frame(h2Headers, h2EndHeaders|h2Padded|h2Priority, slices.Concat([]byte{3, 0, 0, 0, 0, 9}, b, []byte{0, 0, 0}))...)
		case 1:
			stream = append(stream, h2Frame(h2Headers, 0, b[:5])...)
			stream = append(stream, h2Frame(h2Continuation, h2EndHeaders, b[5:])...)
		default:
			stream = append(stream, h2Frame(h2Headers, h2EndHeaders, b)...)
		}
		stream = append(stream, h2Frame(h2Data, 0, []byte(`{"password":"S3CR3T","n":1}`))...)
		all = append(all, fields)
	}
	return stream, all
}

// h2Fields reads the fields of a client's stream.
func h2Fields(t *testing.T, stream []byte) (all [][]hpack.HeaderField) {
	t.Helper()
	dec := hpack.NewDecoder(4096, nil)
	b := bytes.TrimPrefix(stream, h2Preface)
	var block []byte
	for len(b) > 0 {
		n := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
		kind, flags, body := b[3], b[4], b[9:9+n]
		b = b[9+n:]
		if flags&h2Padded != 0 {
			body = body[6 : len(body)-int(body[0])]
		}
		if kind == h2Headers || kind == h2Continuation {
			block = append(block, body...)
			if flags&h2EndHeaders != 0 {
				fields, err := dec.DecodeFull(block)
				if err != nil {
					t.Fatal(err)
				}
				all, block = append(all, fields), nil
			}
		}
	}
	return all
}

// TestMaskHTTP2: however the stream is cut, it unpacks to the same fields,
// without secrets and queries.
func TestMaskHTTP2(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for _, huffman := range []bool{true, false} {
		stream, fields := h2Requests(huffman)
		for range 200 {
			var m masker
			m.begin(100)
			out := bytes.Clone(stream)
			for at := 0; at < len(out); {
				n := min(1+rnd.IntN(60), len(out)-at)
				if at == 0 {
					n = max(n, 16) // the preface comes in one piece
				}
				m.mask(out[at:at+n], 100+uint32(at), n)
				at += n
			}
			got := h2Fields(t, out)
			for i, f := range fields {
				for k, x := range f {
					g := got[i][k]
					path, query, hasQuery := strings.Cut(x.Value, "?")
					switch {
					case g.Name != x.Name:
						t.Fatalf("%s became %s", x.Name, g.Name)
					case x.Name == "authorization" || x.Name == "x-api-key" || x.Name == "cookie":
						if strings.Trim(g.Value, "x0") != "" {
							t.Fatalf("%s is left as %q", x.Name, g.Value)
						}
					case hasQuery:
						p, q, _ := strings.Cut(g.Value, "?")
						if p != path || strings.Trim(q, "x0") != "" || len(query) > 0 && len(q) == 0 {
							t.Fatalf("%s became %q", x.Value, g.Value)
						}
					case g.Value != x.Value:
						t.Fatalf("%s: %q became %q", x.Name, x.Value, g.Value)
					}
				}
			}
			if bytes.Contains(out, []byte("S3CR3T")) {
				t.Fatal("a body's secret is left")
			}
		}
	}
}

// TestMaskHTTP2FromTheMiddle: where the beginning was not seen, what may be a
// secret is not left, and the recording goes on at the next frame.
func TestMaskHTTP2FromTheMiddle(t *testing.T) {
	stream, _ := h2Requests(false)
	from := bytes.Index(stream, []byte("/b?")) // within a frame
	var m masker
	m.h2 = &h2mask{}
	broken := bytes.Clone(stream[from : from+30])
	m.mask(broken, 1, len(broken))
	if strings.Trim(string(broken), "x") != "" {
		t.Errorf("from within a frame: %q", broken)
	}
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	enc.WriteField(hpack.HeaderField{Name: "x-thing", Value: "S3CR3T"})
	block.Reset()
	enc.WriteField(hpack.HeaderField{Name: "x-thing", Value: "S3CR3T-too"}) // its name is in the table
	whole := h2Frame(h2Headers, h2EndHeaders, block.Bytes())
	before := bytes.Clone(whole)
	m.mask(whole, 5000, len(whole))
	if bytes.Equal(whole, before) || !bytes.Equal(whole[:10], before[:10]) {
		t.Errorf("a field of unknown name: % x became % x", before, whole)
	}
	ping := h2Frame(6, 0, []byte("12345678"))
	want := bytes.Clone(ping)
	m.mask(ping, 9000, len(ping))
	if !bytes.Equal(ping, want) {
		t.Errorf("a ping became % x", ping)
	}
}

func FuzzMaskHTTP2(f *testing.F) {
	for _, huffman := range []bool{true, false} {
		stream, _ := h2Requests(huffman)
		f.Add(stream, uint64(1))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var m masker
		m.begin(0)
		m.h2 = &h2mask{}
		for at := 0; at < len(data); {
			n := 1 + rnd.IntN(len(data)-at)
			m.mask(bytes.Clone(data[at:at+n]), uint32(at+rnd.IntN(5)/4*rnd.IntN(100)), n+rnd.IntN(8)/7)
			if len(m.h2.fields.table) > maxTable || len(m.h2.fields.name) > maxName || len(m.spans) > maxSpans {
				t.Fatal("it remembers too much")
			}
			at += n
		}
	})
}
