package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/websocket"
)

// tunnel is a websocket as the connection that gRPC wants: its bytes in binary messages.
type tunnel struct {
	*websocket.Conn
	reading io.Reader
}

// busy is the answer of a kas that has no room now.
type busy struct{ after time.Duration }

func (b busy) Error() string { return fmt.Sprintf("kas is busy, try again in %s", b.after) }

// One buffer for all that write: otherwise each connection keeps its own.
var buffers bufferPool

func dialTunnel(ctx context.Context, url string) (net.Conn, error) {
	dialer := websocket.Dialer{
		Subprotocols:    []string{"ws-tunnel"},
		ReadBufferSize:  1024,
		WriteBufferSize: 4096,
		WriteBufferPool: &buffers,
	}
	connection, response, err := dialer.DialContext(ctx, url, nil)
	if err != nil {
		if response != nil && response.StatusCode == http.StatusServiceUnavailable {
			seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
			return nil, busy{time.Duration(max(seconds, 1)) * time.Second}
		}
		return nil, err
	}
	return &tunnel{Conn: connection}, nil
}

func (t *tunnel) Read(to []byte) (int, error) {
	for {
		if t.reading == nil {
			kind, reader, err := t.NextReader()
			if err != nil {
				return 0, io.EOF
			}
			if kind != websocket.BinaryMessage {
				return 0, fmt.Errorf("a websocket message of kind %d", kind)
			}
			t.reading = reader
		}
		n, err := t.reading.Read(to)
		if err == io.EOF {
			t.reading = nil
			if n == 0 {
				continue
			}
			err = nil
		}
		return n, err
	}
}

func (t *tunnel) Write(data []byte) (int, error) {
	if err := t.WriteMessage(websocket.BinaryMessage, data); err != nil {
		return 0, err
	}
	return len(data), nil
}

func (t *tunnel) SetDeadline(at time.Time) error {
	if err := t.SetReadDeadline(at); err != nil {
		return err
	}
	return t.SetWriteDeadline(at)
}
