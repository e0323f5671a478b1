// Package clientip finds out which address a request comes from when proxies of the host's
// own stand before the server.
//
// A header says it, and anyone can send that header. So it counts only if the peer of the
// connection is one of these proxies, and in it only what they have added: each adds, on the
// right, the address that it saw. Read from there, the first address that is no proxy's is
// the client's, and all to the left of it is what the client wrote.
//
// A proxy keeps one header, X-Forwarded-For or RFC 7239's Forwarded, and hands on the other
// as it came. Which one is read is therefore the host's choice and never the request's: what
// read whichever is there would let clients choose their address in the one that the proxy
// does not know.
package clientip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// maxHops is how many proxies a request is followed through.
const maxHops = 100

// Proxies are the host's own proxies, those that may say for whom they speak.
type Proxies struct {
	// Prefixes hold the addresses of all proxies between the clients and the server, those
	// of a content delivery network included, and no others: whoever has one of these
	// addresses can take any. IPv4 prefixes also count for IPv4-mapped IPv6 addresses, and
	// may be written so. Default: none.
	Prefixes []netip.Prefix

	// UnixSocket takes whoever connects to a unix socket that the server listens on for a
	// proxy, so that the permissions of its file decide. Default: false, and the address
	// of such a client is the zero [netip.Addr].
	UnixSocket bool
}

// TrustedProxies is [Proxies.XForwardedFor] for proxies with these addresses.
func TrustedProxies(prefixes ...netip.Prefix) (func(*http.Request) netip.Addr, error) {
	return Proxies{Prefixes: prefixes}.XForwardedFor()
}

// XForwardedFor returns a function for Config.ClientIP that reads X-Forwarded-For, for
// proxies that append to that header or set it.
//
// For a peer that is no proxy it returns the peer's address. Else it goes from right to left
// over the header, all its lines in their order, and returns the first address that is no
// proxy's, or the leftmost if all are. Entries may have a port, and IPv6 addresses brackets.
// One that is no address, be it empty, "unknown" or one with a zone, ends that walk, and so
// do more than 100 proxies: what is returned then is the last proxy's address, that of the
// peer if there was no other. So it is if the header is missing.
//
// Addresses are returned without zone, and IPv4-mapped ones as IPv4. The zero [netip.Addr]
// stands for a peer that has no address, which happens on unix sockets, or where something
// in between has put text of its own into [http.Request.RemoteAddr].
//
// Every prefix that is wrong is an error: one that is not valid, as the zero Prefix; one of
// all addresses, since with it the leftmost entry would count, which is the client's to
// write; and one of IPv4-mapped addresses and others together.
func (p Proxies) XForwardedFor() (func(*http.Request) netip.Addr, error) {
	return p.reader(header{
		name:      "X-Forwarded-For",
		lastComma: func(s string) int { return strings.LastIndexByte(s, ',') },
		parse:     parseEntry,
	})
}

// Forwarded is [Proxies.XForwardedFor] for proxies that keep the header Forwarded of RFC
// 7239. Its entries are read by the grammar of that RFC alone: IPv6 addresses have brackets,
// they and all with ports are quoted, and there is no space around ";" and "=". An entry
// that is not so, or without "for", or with "unknown" or a made-up name there, is no
// address.
func (p Proxies) Forwarded() (func(*http.Request) netip.Addr, error) {
	return p.reader(header{name: "Forwarded", lastComma: lastUnquotedComma, parse: parseElement})
}

// header is how a header lists addresses.
type header struct {
	name      string
	lastComma func(string) int                // where the last entry of a line begins, before that; -1 if there is but one
	parse     func(string) (netip.Addr, bool) // the address of an entry
}

func (p Proxies) reader(h header) (func(*http.Request) netip.Addr, error) {
	prefixes, err := fold(p.Prefixes)
	if err != nil {
		return nil, err
	}
	isProxy := func(a netip.Addr) bool {
		return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return func(r *http.Request) netip.Addr {
		peer, ok := parsePeer(r.RemoteAddr)
		if ok && isProxy(peer) || !ok && p.UnixSocket && onUnixSocket(r.Context()) {
			return h.walk(r.Header.Values(h.name), peer, isProxy)
		}
		return peer
	}, nil
}

// walk returns whom the lines name, to a proxy whose address is peer.
func (h header) walk(lines []string, peer netip.Addr, isProxy func(netip.Addr) bool) netip.Addr {
	last, hops := peer, 1
	for _, line := range slices.Backward(lines) {
		for more := true; more; {
			comma := h.lastComma(line)
			addr, ok := h.parse(strings.Trim(line[comma+1:], " \t"))
			switch {
			case !ok:
				return last
			case !isProxy(addr):
				return addr
			case hops == maxHops:
				return last
			}
			last = addr
			hops++
			if more = comma >= 0; more {
				line = line[:comma]
			}
		}
	}
	return last
}

// fold checks the prefixes, and returns those of IPv4-mapped addresses as IPv4.
func fold(prefixes []netip.Prefix) ([]netip.Prefix, error) {
	mapped := netip.PrefixFrom(netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff}), 96) // ::ffff:0:0/96
	var folded []netip.Prefix
	var errs []error
	for i, p := range prefixes {
		f := p
		if p.Bits() >= mapped.Bits() && mapped.Contains(p.Addr()) {
			f = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped.Bits())
		}
		switch {
		case !f.IsValid():
			errs = append(errs, fmt.Errorf("clientip: prefix %d is not valid", i))
		case f.Bits() == 0:
			errs = append(errs, fmt.Errorf("clientip: prefix %d, %v, is of all addresses, so that clients could choose theirs: name your proxies' alone", i, p))
		case f.Contains(mapped.Addr()):
			errs = append(errs, fmt.Errorf("clientip: prefix %d, %v, is of IPv4-mapped addresses and others: give IPv4 a prefix of its own", i, p))
		default:
			folded = append(folded, f)
		}
	}
	return folded, errors.Join(errs...)
}

// parsePeer returns the address in a RemoteAddr, with or without a port.
func parsePeer(s string) (netip.Addr, bool) {
	peer, err := netip.ParseAddrPort(s)
	addr := peer.Addr()
	if err != nil {
		addr, err = netip.ParseAddr(s)
	}
	return addr.WithZone("").Unmap(), err == nil
}

// parseEntry returns the address in an entry of X-Forwarded-For.
func parseEntry(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return parseNode(s)
	}
	return addr.Unmap(), addr.Zone() == ""
}

// parseNode returns the address in a node of RFC 7239, section 6, if it has one.
func parseNode(s string) (netip.Addr, bool) {
	host, port, hasPort := strings.Cut(s, ":")
	bracketed := strings.HasPrefix(s, "[")
	if bracketed {
		var rest string
		host, rest, _ = strings.Cut(s[1:], "]")
		port, hasPort = strings.CutPrefix(rest, ":")
		if !hasPort && rest != "" || !strings.Contains(s, "]") {
			return netip.Addr{}, false
		}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Is6() != bracketed || addr.Zone() != "" || hasPort && !isPort(port) {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}

// isPort says whether s is a port, by number or by a made-up name.
func isPort(s string) bool {
	if name, ok := strings.CutPrefix(s, "_"); ok {
		return name != "" && strings.Trim(name, alphanumeric+"._-") == ""
	}
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil && len(s) <= len("65535")
}

// onUnixSocket says whether a server has the request from a connection to a unix socket.
func onUnixSocket(ctx context.Context) bool {
	local, ok := ctx.Value(http.LocalAddrContextKey).(net.Addr)
	return ok && local.Network() == "unix"
}
