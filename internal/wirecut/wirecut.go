// Package wirecut is a proxy before PostgreSQL that cuts a connection after a
// message of the protocol, so that a test can lose any question and any answer.
package wirecut

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// Side is who sends a message.
type Side string

// The sides.
const (
	Frontend Side = "frontend"
	Backend  Side = "backend"
)

// Message is one message that has passed the proxy.
type Message struct {
	Side Side
	Type byte   // as the protocol has it: 'Q' is a query, 'C' its end, 'Z' ready for the next
	Text string // of a query and of a command's end
	// Nth is its number among the messages of its side, from 1, counted from Arm.
	Nth int
}

// Proxy passes messages on until one is to be the last of its connection.
type Proxy struct {
	dsn            string
	listener       net.Listener
	network, where string // of the server

	mu       sync.Mutex
	side     Side
	wanted   bool // a cut
	left     int  // messages of side until the cut; then 0
	counted  map[Side]int
	messages []Message
	over     chan struct{} // closed when the server is done with the connection that was cut

	serving sync.WaitGroup
	open    map[net.Conn]bool
}

// link is one connection through the proxy.
type link struct {
	client, server net.Conn
	over           chan struct{} // of the proxy, where this is the one that was cut
}

// maxMessages bounds what is remembered.
const maxMessages = 100_000

// Start returns a proxy before the server of a DSN, for as long as the test runs.
func Start(t testing.TB, dsn string) *Proxy {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	p := &Proxy{counted: map[Side]int{}, open: map[net.Conn]bool{}, over: make(chan struct{})}
	p.network, p.where = pgNetwork(config)
	p.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	// SSL and GSS are refused by the proxy, as by a server that has none.
	p.dsn = (&url.URL{
		Scheme: "postgres", User: url.UserPassword(config.User, config.Password), Host: p.listener.Addr().String(), Path: config.Database,
		RawQuery: "sslmode=prefer",
	}).String()
	p.serving.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func pgNetwork(config *pgx.ConnConfig) (network, address string) {
	if config.Host != "" && config.Host[0] == '/' {
		return "unix", fmt.Sprintf("%s/.s.PGSQL.%d", config.Host, config.Port)
	}
	return "tcp", net.JoinHostPort(config.Host, fmt.Sprint(config.Port))
}

// DSN returns how the database is reached through the proxy.
func (p *Proxy) DSN() string { return p.dsn }

// Arm makes the proxy cut a connection after the nth message of a side from now on,
// which is still passed on, once; an nth of 0 cuts nothing. What was counted and
// remembered before is forgotten.
func (p *Proxy) Arm(side Side, nth int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.side, p.left, p.wanted, p.over = side, nth, nth > 0, make(chan struct{})
	p.counted, p.messages = map[Side]int{}, nil
}

// Messages returns what has passed since Arm, the first 100,000 of them.
func (p *Proxy) Messages() []Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Message(nil), p.messages...)
}

// Cut reports whether the connection that Arm asked for has been cut. It returns
// when the server has done all that it was asked for on it, so that what it has
// stored can be looked at.
func (p *Proxy) Cut() bool {
	p.mu.Lock()
	over, none := p.over, !p.wanted || p.left > 0
	p.mu.Unlock()
	if none {
		return false
	}
	<-over
	return true
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.serving.Go(func() { p.serve(client) })
	}
}

// serve passes one connection on in both directions until either ends.
func (p *Proxy) serve(client net.Conn) {
	defer p.hold(client)()
	startup, err := readStartup(client)
	if err != nil {
		return
	}
	server, err := net.Dial(p.network, p.where)
	if err != nil {
		return
	}
	defer p.hold(server)()
	if _, err := server.Write(startup); err != nil {
		return
	}
	l := &link{client: client, server: server}
	answers := make(chan struct{})
	go func() {
		defer close(answers)
		p.pass(l, Backend, server, client)
		_ = client.Close()
	}()
	p.pass(l, Frontend, client, server)
	_ = client.Close()
	// The server has what the client has sent, and no more. It works on that, and
	// its answers are read to their end and lost.
	if half, ok := server.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	<-answers
	_, _ = io.Copy(io.Discard, server)
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.over != nil {
		close(l.over)
	}
}

// hold keeps a connection until it is closed by the function that it returns.
func (p *Proxy) hold(c net.Conn) (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[c] = true
	return func() {
		_ = c.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, c)
	}
}

func (p *Proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	for c := range p.open {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.serving.Wait()
}

// The codes of requests that come in the place of a startup message.
const (
	cancelRequest = 80877102
	sslRequest    = 80877103
	gssRequest    = 80877104
	maxStartup    = 10_000 // bytes, as the server has it
)

// readStartup returns the startup message, refuses to encrypt before it, and drops
// what asks to cancel a statement.
func readStartup(client net.Conn) ([]byte, error) {
	for {
		head := make([]byte, 8)
		if _, err := io.ReadFull(client, head); err != nil {
			return nil, err
		}
		size := binary.BigEndian.Uint32(head)
		switch code := binary.BigEndian.Uint32(head[4:]); {
		case code == sslRequest || code == gssRequest:
			if _, err := client.Write([]byte{'N'}); err != nil {
				return nil, err
			}
			continue
		case code == cancelRequest:
			return nil, errors.New("wirecut: a client that has lost its connection would race with what it has asked for")
		case size < 8 || size > maxStartup:
			return nil, errors.New("wirecut: this is no startup message")
		}
		message := append(head, make([]byte, size-8)...)
		_, err := io.ReadFull(client, message[8:])
		return message, err
	}
}

// pass hands messages on one by one, until either end is gone or the cut comes.
func (p *Proxy) pass(l *link, side Side, from io.Reader, to io.Writer) {
	for {
		head := make([]byte, 5)
		if _, err := io.ReadFull(from, head); err != nil {
			return
		}
		message := append(head, make([]byte, binary.BigEndian.Uint32(head[1:])-4)...)
		if _, err := io.ReadFull(from, message[5:]); err != nil {
			return
		}
		last := p.count(l, side, message)
		if last && side == Frontend {
			_ = l.client.Close() // before the server can answer
		}
		if _, err := to.Write(message); err != nil || last {
			return
		}
	}
}

// count remembers a message and reports whether it is the last of its connection.
func (p *Proxy) count(l *link, side Side, message []byte) (last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counted[side]++
	m := Message{Side: side, Type: message[0], Nth: p.counted[side]}
	if side == Frontend && m.Type == 'Q' || side == Backend && m.Type == 'C' {
		m.Text = string(message[5 : len(message)-1])
	}
	if len(p.messages) < maxMessages {
		p.messages = append(p.messages, m)
	}
	if side == p.side && p.left > 0 {
		p.left--
		if p.left == 0 {
			l.over = p.over
			return true
		}
	}
	return false
}
