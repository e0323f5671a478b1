//go:build browser

package browser_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// exchange is a request and its answer, as they passed the relay.
type exchange struct {
	route   string   // method and path
	site    string   // Sec-Fetch-Site
	cookies []string // the names of those that came
	status  int
	sets    []string // the names of those that were set
}

// relay passes requests on to a server, writes down those to its API and holds what it is
// told to.
type relay struct {
	url   string
	proxy *httputil.ReverseProxy

	mu    sync.Mutex
	seen  []exchange
	gates []*gate
}

// gate holds one request, or the reply to one.
type gate struct {
	route   string
	reply   bool
	arrived chan struct{} // closed when the gate holds something
	opened  chan struct{} // closed to let it go on
	taken   bool
	open    func()
}

// newRelay starts the example and a relay before it.
func newRelay(t *testing.T) *relay {
	t.Helper()
	target, err := url.Parse(serve(t))
	require.NoError(t, err)
	r := &relay{}
	r.proxy = &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Host = p.In.Host // what the browser asked for
		},
		ModifyResponse: func(res *http.Response) error {
			r.note(res)
			r.pass(res.Request, true)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.pass(req, false)
		r.proxy.ServeHTTP(w, req)
	}))
	t.Cleanup(func() {
		r.mu.Lock()
		gates := slices.Clone(r.gates)
		r.mu.Unlock()
		for _, g := range gates {
			g.open()
		}
		server.Close()
	})
	r.url = server.URL
	return r
}

func (r *relay) note(res *http.Response) {
	if !strings.HasPrefix(res.Request.URL.Path, "/api/") {
		return
	}
	e := exchange{
		route: res.Request.Method + " " + res.Request.URL.Path, site: res.Request.Header.Get("Sec-Fetch-Site"), status: res.StatusCode,
	}
	for _, c := range res.Request.Cookies() {
		e.cookies = append(e.cookies, c.Name)
	}
	for _, c := range res.Cookies() {
		e.sets = append(e.sets, c.Name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, e)
}

// pass waits at the gate that is there for the request or its reply.
func (r *relay) pass(req *http.Request, reply bool) {
	r.mu.Lock()
	i := slices.IndexFunc(r.gates, func(g *gate) bool {
		return !g.taken && g.reply == reply && g.route == req.Method+" "+req.URL.Path
	})
	if i < 0 {
		r.mu.Unlock()
		return
	}
	g := r.gates[i]
	g.taken = true
	r.mu.Unlock()
	close(g.arrived)
	select {
	case <-g.opened:
	case <-req.Context().Done():
	}
}

func (r *relay) hold(route string, reply bool) *gate {
	g := &gate{route: route, reply: reply, arrived: make(chan struct{}), opened: make(chan struct{})}
	g.open = sync.OnceFunc(func() { close(g.opened) })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gates = append(r.gates, g)
	return g
}

// holdRequest holds the next request of the route before the server sees it.
func (r *relay) holdRequest(route string) *gate { return r.hold(route, false) }

// holdReply holds the answer to the next request of the route.
func (r *relay) holdReply(route string) *gate { return r.hold(route, true) }

// wait waits until the gate holds something.
func (g *gate) wait(t *testing.T) {
	t.Helper()
	select {
	case <-g.arrived:
	case <-time.After(patience):
		require.FailNow(t, "it does not arrive", g.route)
	}
}

// of returns what passed on the routes that begin so, in the order of the answers.
func (r *relay) of(route string) []exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []exchange
	for _, e := range r.seen {
		if strings.HasPrefix(e.route, route) {
			found = append(found, e)
		}
	}
	return found
}

// with is of, for the requests that carried a cookie of that name.
func (r *relay) with(cookie, route string) []exchange {
	return slices.DeleteFunc(r.of(route), func(e exchange) bool { return !slices.Contains(e.cookies, cookie) })
}

// statuses are those of the answers.
func statuses(exchanges []exchange) []int {
	var all []int
	for _, e := range exchanges {
		all = append(all, e.status)
	}
	return all
}

// forget has the relay begin with an empty page.
func (r *relay) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = nil
}
