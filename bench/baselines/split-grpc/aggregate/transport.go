package main

import (
	"io"
	"net"
	"syscall"
	"time"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that is metered
	"google.golang.org/grpc/mem"
)

// A meteredCodec is gRPC's protobuf codec with a stopwatch on both sides.
type meteredCodec struct{ encoding.CodecV2 }

func newMeteredCodec() meteredCodec { return meteredCodec{encoding.GetCodecV2("proto")} }

func (c meteredCodec) Marshal(message any) (data mem.BufferSlice, err error) {
	ledger.time(serialise, func() { data, err = c.CodecV2.Marshal(message) })
	return data, err
}

func (c meteredCodec) Unmarshal(data mem.BufferSlice, message any) (err error) {
	ledger.time(deserialise, func() { err = c.CodecV2.Unmarshal(data, message) })
	return err
}

// A meteredListener accepts connections whose system calls are timed.
type meteredListener struct{ net.Listener }

func (l meteredListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	return meteredConn{conn, raw}, nil
}

type meteredConn struct {
	net.Conn
	raw syscall.RawConn
}

// Read times the system call, not the wait for data.
func (c meteredConn) Read(buffer []byte) (int, error) {
	var count int
	var failure error
	err := c.raw.Read(func(fd uintptr) bool {
		start := time.Now()
		for failure = syscall.EINTR; failure == syscall.EINTR; {
			count, failure = syscall.Read(int(fd), buffer)
		}
		ledger.add(read, time.Since(start))
		return failure != syscall.EAGAIN
	})
	switch {
	case err != nil:
		return 0, err
	case failure != nil:
		return 0, failure
	case count == 0 && len(buffer) > 0:
		return 0, io.EOF
	}
	return count, nil
}

// Write times the whole call: flow-control frames and one reply never fill the socket.
func (c meteredConn) Write(data []byte) (count int, err error) {
	ledger.time(write, func() { count, err = c.Conn.Write(data) })
	return count, err
}
