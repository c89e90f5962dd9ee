package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// transact sends --count messages in transactions, then stays until it was asked about --checks
// half messages. A body that ends in an even number is committed, another is rolled back; with
// --local unknown that is left to the check. Ends without a goodbye, as a crash does.
func transact(o *options) int {
	l := &listener{unknown: o.local == "unknown", missing: int32(o.checks), done: make(chan struct{})}
	if o.checks == 0 {
		close(l.done)
	}
	p, err := rocketmq.NewTransactionProducer(l,
		producer.WithNsResolver(primitive.NewPassthroughResolver(o.servers())),
		producer.WithGroupName(o.group),
		producer.WithCredentials(o.credentials()),
	)
	if err != nil {
		return fail(err)
	}
	if err := p.Start(); err != nil {
		return fail(err)
	}
	for _, message := range messages(o) {
		// A client that has sent nothing within its first second is not known to brokers for the next 30 s.
		if _, err := p.SendMessageInTransaction(context.Background(), message); err != nil {
			return fail(err)
		}
		tell("sent", message.TransactionId, message.Body)
	}
	fmt.Fprintln(os.Stderr, "ready")
	select {
	case <-l.done:
		// Answers are one-way, from a routine of the client: let the last one leave.
		time.Sleep(500 * time.Millisecond)
		return 0
	case <-time.After(o.timeout):
		return timedOut
	}
}

type listener struct {
	unknown bool
	missing int32
	done    chan struct{}
}

func (l *listener) ExecuteLocalTransaction(message *primitive.Message) primitive.LocalTransactionState {
	if l.unknown {
		return primitive.UnknowState
	}
	return decide(message.Body)
}

func (l *listener) CheckLocalTransaction(message *primitive.MessageExt) primitive.LocalTransactionState {
	tell("checked", message.TransactionId, message.Body)
	if atomic.AddInt32(&l.missing, -1) == 0 {
		close(l.done)
	}
	return decide(message.Body)
}

func decide(body []byte) primitive.LocalTransactionState {
	if body[len(body)-1]%2 == 0 {
		return primitive.CommitMessageState
	}
	return primitive.RollbackMessageState
}

func tell(what, id string, body []byte) {
	line(map[string]any{"what": what, "id": id, "body_base64": base64.StdEncoding.EncodeToString(body)})
}
