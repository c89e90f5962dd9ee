package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"sync"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// recv receives until --count messages were acknowledged or --timeout is over.
func recv(o *options) int {
	from := consumer.ConsumeFromFirstOffset
	if o.from == "last" {
		from = consumer.ConsumeFromLastOffset
	}
	c, err := rocketmq.NewPushConsumer(
		consumer.WithNsResolver(primitive.NewPassthroughResolver(o.servers())),
		consumer.WithGroupName(o.group),
		consumer.WithNamespace(o.namespace),
		consumer.WithCredentials(o.credentials()),
		consumer.WithConsumeFromWhere(from),
		consumer.WithConsumerModel(consumer.Clustering),
		consumer.WithConsumerOrder(o.orderly),
		consumer.WithMaxReconsumeTimes(int32(o.maxReconsume)),
		// Process-wide default instances would share one client id between two consumers of one host.
		consumer.WithInstance(fmt.Sprintf("%d#%d", os.Getpid(), time.Now().UnixNano())),
	)
	if err != nil {
		return fail(err)
	}
	count := &counter{orderly: o.orderly, failures: o.failFirst, missing: o.count, done: make(chan struct{})}
	selector := consumer.MessageSelector{Type: consumer.TAG, Expression: "*"}
	if o.tag != "" {
		selector.Expression = o.tag
	}
	if err := c.Subscribe(o.topic, selector, count.receive); err != nil {
		return fail(err)
	}
	if err := c.Start(); err != nil {
		return fail(err)
	}
	fmt.Fprintln(os.Stderr, "ready")
	select {
	case <-count.done:
		// What comes after the last one that was wanted is a duplicate or a stray: let it show.
		time.Sleep(o.linger)
		_ = c.Shutdown()
		return 0
	case <-time.After(o.timeout):
		_ = c.Shutdown()
		return timedOut
	}
}

type counter struct {
	sync.Mutex
	failures, missing int
	orderly           bool
	done              chan struct{}
}

func (c *counter) receive(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
	c.Lock()
	defer c.Unlock()
	fails := c.failures > 0
	for _, message := range messages {
		report := map[string]any{
			"id":          message.MsgId,
			"key":         nullable(message.GetKeys()),
			"tag":         nullable(message.GetTags()),
			"broker":      message.Queue.BrokerName,
			"queue":       message.Queue.QueueId,
			"offset":      message.QueueOffset,
			"reconsume":   message.ReconsumeTimes,
			"acked":       !fails,
			"stored_ms":   message.StoreTimestamp,
			"at_ms":       time.Now().UnixMilli(),
			"properties":  message.GetProperties(),
			"body_base64": base64.StdEncoding.EncodeToString(message.Body),
		}
		line(report)
		if fails {
			c.failures--
			continue
		}
		c.missing--
		if c.missing == 0 {
			close(c.done)
		}
	}
	if fails && c.orderly {
		return consumer.SuspendCurrentQueueAMoment, nil
	}
	if fails {
		return consumer.ConsumeRetryLater, nil
	}
	return consumer.ConsumeSuccess, nil
}

func nullable(text string) any {
	if text == "" {
		return nil
	}
	return text
}
