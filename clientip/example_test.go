package clientip_test

import (
	"fmt"
	"net/http"
	"net/netip"

	"github.com/ostiary/auth/clientip"
)

func ExampleTrustedProxies() {
	clientIP, err := clientip.TrustedProxies(netip.MustParsePrefix("10.0.0.0/8"))
	if err != nil {
		fmt.Println(err)
		return
	}
	r := &http.Request{RemoteAddr: "10.0.0.7:41234", Header: http.Header{
		"X-Forwarded-For": {"203.0.113.9, 198.51.100.4, 10.0.0.3"}, // the client wrote the first one
	}}
	fmt.Println(clientIP(r))
	r.RemoteAddr = "192.0.2.1:41234"
	fmt.Println(clientIP(r))
	// Output:
	// 198.51.100.4
	// 192.0.2.1
}

func ExampleProxies_Forwarded() {
	proxies := clientip.Proxies{Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	clientIP, err := proxies.Forwarded()
	if err != nil {
		fmt.Println(err)
		return
	}
	r := &http.Request{RemoteAddr: "127.0.0.1:41234", Header: http.Header{
		"Forwarded": {`for=203.0.113.9, for="[2001:db8::17]:4711";proto=https`}, // the proxy added the second one
	}}
	fmt.Println(clientIP(r))
	// Output: 2001:db8::17
}
