package httpapi

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/ustat/ustat/core"
)

// maxToken bounds a bearer token in bytes.
const maxToken = 4 << 10

// bearer returns the token of a request, or "" when it has none.
func bearer(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxToken {
		return "", core.ErrUnauthenticated.Withf("one Authorization header with a Bearer token is expected")
	}
	return token, nil
}

// PeerAddr returns the address that a request has come from: the peer of its
// connection, whatever its headers say. Behind a proxy that is the proxy's.
func PeerAddr(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap()
}

// network returns what limits count by: an IPv4 address, or the /64 of an IPv6
// one, which is what one customer is given.
func network(addr netip.Addr) string {
	if !addr.IsValid() {
		return "unknown"
	}
	if addr = addr.Unmap().WithZone(""); addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return "unknown"
	}
	return prefix.String()
}

// actor returns who makes a request.
func (a *api) actor(r *http.Request) (core.Actor, error) {
	if a.options.Actor != nil {
		return a.options.Actor(r)
	}
	token, err := bearer(r)
	if err != nil || token == "" {
		return core.Actor{}, err
	}
	return a.platform.Accounts.Authenticate(r.Context(), token)
}
