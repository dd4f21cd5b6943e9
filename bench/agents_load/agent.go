package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	connect = "/agentlink.v1.AgentLink/Connect"
	report1 = "/agentlink.v1.AgentLink/Report"

	connectionID = "agentlink-connection-id"
	retryAfter   = "agentlink-retry-after-ms"

	// As agentk has them: how long connecting may take, and the waits between attempts.
	connectTimeout = 20 * time.Second
	firstWait      = time.Second
	longestWait    = 60 * time.Second
)

// agent speaks for one cluster, without one: what it is sent counts as applied after `work`.
type agent struct {
	fleet    *fleet
	number   int
	instance string
	holding  map[uint64]header
	lose     context.CancelFunc
	full     atomic.Pointer[busy] // what a dial was told last; gRPC hands on no errors of its dialer
}

// run keeps a connection until the context ends, as agentk does: a failure is followed by a longer and longer wait, or
// by the one that kas asks for.
func (a *agent) run(ctx context.Context) {
	wait := firstWait
	for ctx.Err() == nil {
		begun := time.Now()
		err := a.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(begun) > longestWait {
			wait = firstWait
		}
		pause := time.Duration(float64(wait) * (0.5 + rand.Float64()/2))
		var full busy
		switch {
		case err == nil: // told to lose its connection
			pause, wait = 0, firstWait
		case errors.As(err, &full):
			pause = full.after
			a.fleet.sentAway.Add(1)
		default:
			wait = min(2*wait, longestWait)
			a.fleet.failed(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (a *agent) dial() (*grpc.ClientConn, error) {
	fleet := a.fleet
	target := fleet.targets[a.number%len(fleet.targets)]
	return grpc.NewClient("passthrough:///"+target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			if fleet.websocket {
				connection, err := dialTunnel(ctx, "ws://"+address)
				if full := (busy{}); errors.As(err, &full) {
					a.full.Store(&full)
				}
				return connection, err
			}
			var dialer net.Dialer
			return dialer.DialContext(ctx, "tcp", address)
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 30 * time.Second, Timeout: 20 * time.Second, PermitWithoutStream: true,
		}),
		// Small ones, and given back when idle: ten thousand connections wait in one process.
		grpc.WithReadBufferSize(4096),
		grpc.WithWriteBufferSize(4096),
		grpc.WithSharedWriteBuffer(true),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithIdleTimeout(0),
	)
}

// once holds one connection to its end; nil when it was told to.
func (a *agent) once(ctx context.Context) error {
	own, lose := context.WithCancel(ctx)
	defer lose()
	a.fleet.lock.Lock()
	a.lose = lose
	a.fleet.lock.Unlock()
	connection, err := a.dial()
	if err != nil {
		return err
	}
	defer connection.Close()
	authorized := metadata.AppendToOutgoingContext(own, "authorization", "Bearer "+a.fleet.tokens[a.number])
	opening, opened := context.WithTimeout(authorized, connectTimeout)
	connection.Connect()
	for state := connection.GetState(); state != connectivity.Ready; state = connection.GetState() {
		if state == connectivity.TransientFailure || !connection.WaitForStateChange(opening, state) {
			break
		}
	}
	opened()
	err = a.stream(authorized, connection)
	if own.Err() != nil {
		return nil
	}
	if full := a.full.Swap(nil); full != nil && err != nil {
		return *full
	}
	return err
}

func (a *agent) stream(ctx context.Context, connection *grpc.ClientConn) error {
	call, err := connection.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, connect)
	if err != nil {
		return err
	}
	said := hello(a.instance, a.holding)
	if err := call.SendMsg(&said); err != nil {
		return err
	}
	head, err := call.Header()
	if err != nil {
		return err
	}
	in := len(head.Get(connectionID)) > 0
	if in {
		a.fleet.entered(a)
		defer a.fleet.left(a)
	}
	coming := map[uint64]header{}
	for {
		var m message
		if err := call.RecvMsg(&m); err != nil {
			return waitOf(err, call.Trailer())
		}
		kind, content, err := kindOf(m)
		if err != nil {
			return err
		}
		switch kind {
		case configuration:
			a.fleet.configured(a)
		case snapshotHeader:
			h, err := parseHeader(content)
			if err != nil {
				return err
			}
			coming[h.project] = h
		case snapshotComplete:
			project, err := projectOf(content)
			if err != nil {
				return err
			}
			h := coming[project]
			delete(coming, project)
			a.holding[project] = h
			a.fleet.delivered(a, h.commit)
			if a.fleet.reporting {
				go a.report(ctx, connection, h)
			}
		case moving:
			return nil
		}
	}
}

// report tells of a sync as agentk does: that it has begun, and what became of it.
func (a *agent) report(ctx context.Context, connection *grpc.ClientConn, h header) {
	for _, batch := range [][]uint64{{applying}, {applied, healthy}} {
		request := reports(h, a.instance, batch...)
		for wait := firstWait; ; wait = min(2*wait, longestWait) {
			var answer message
			within, cancel := context.WithTimeout(ctx, 30*time.Second)
			err := connection.Invoke(within, report1, &request, &answer)
			cancel()
			if err == nil {
				a.fleet.reported.Add(1)
				break
			}
			if ctx.Err() != nil {
				return
			}
			a.fleet.failed(err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Duration(float64(wait) * (0.5 + rand.Float64()/2))):
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(a.fleet.work):
		}
	}
}

// waitOf turns the answer of a kas without room into how long it wants to be left alone.
func waitOf(err error, trailer metadata.MD) error {
	if status.Code(err) != codes.ResourceExhausted {
		return err
	}
	if said := trailer.Get(retryAfter); len(said) > 0 {
		if milliseconds, failed := strconv.Atoi(said[0]); failed == nil {
			return busy{time.Duration(milliseconds) * time.Millisecond}
		}
	}
	return err
}
