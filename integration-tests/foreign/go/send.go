package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func send(o *options) int {
	threshold := math.MaxInt
	if o.compress != "" {
		threshold = 1
	}
	selector := producer.NewRoundRobinQueueSelector()
	if o.orderingKey != "" {
		// The default one does not look at sharding keys.
		selector = producer.NewHashQueueSelector()
	}
	p, err := rocketmq.NewProducer(
		producer.WithQueueSelector(selector),
		producer.WithNsResolver(primitive.NewPassthroughResolver(o.servers())),
		producer.WithGroupName(o.group),
		producer.WithNamespace(o.namespace),
		producer.WithCredentials(o.credentials()),
		// Without --compress nothing is: the default threshold of 4 KiB would decide for the test.
		producer.WithCompressMsgBodyOverHowmuch(threshold),
		producer.WithRetry(2),
	)
	if err != nil {
		return fail(err)
	}
	if err := p.Start(); err != nil {
		return fail(err)
	}
	defer func() { _ = p.Shutdown() }()
	ctx, cancel := context.WithTimeout(context.Background(), o.timeout)
	defer cancel()
	if err := sendAll(ctx, p, o); err != nil {
		return fail(err)
	}
	return 0
}

func sendAll(ctx context.Context, p rocketmq.Producer, o *options) error {
	messages := messages(o)
	if o.batch {
		result, err := p.SendSync(ctx, messages...)
		if err == nil {
			report(result, len(messages), nil)
		}
		return err
	}
	next := time.Now().Add(o.deliverIn)
	for _, message := range messages {
		var due any
		if o.deliverIn > 0 {
			due = next.UnixMilli()
			// This client has no setter: its users set the property themselves.
			message.WithProperty("TIMER_DELIVER_MS", fmt.Sprint(due))
			next = next.Add(o.deliverStep)
		}
		if o.delayLevel > 0 {
			message.WithDelayTimeLevel(o.delayLevel)
		}
		if o.oneway {
			if err := p.SendOneWay(ctx, message); err != nil {
				return err
			}
			continue
		}
		result, err := p.SendSync(ctx, message)
		if err != nil {
			return err
		}
		report(result, 1, due)
	}
	return nil
}

func messages(o *options) []*primitive.Message {
	var all []*primitive.Message
	for i := range o.count {
		body := fmt.Sprintf("%s-%d", o.prefix, i)
		if missing := o.size - len(body); missing > 0 {
			body += strings.Repeat(".", missing)
		}
		message := primitive.NewMessage(o.topic, []byte(body))
		if o.tag != "" {
			message.WithTag(o.tag)
		}
		if o.key != "" {
			message.WithKeys([]string{strings.ReplaceAll(o.key, "{i}", fmt.Sprint(i))})
		}
		if o.orderingKey != "" {
			message.WithShardingKey(strings.ReplaceAll(o.orderingKey, "{i}", fmt.Sprint(i)))
		}
		for _, pair := range o.properties {
			message.WithProperty(pair[0], pair[1])
		}
		all = append(all, message)
	}
	return all
}

// report: this client gives the messages of a batch no unique id, so id is empty there;
// the offset ids come joined by commas, the queue offset is the first one's.
func report(result *primitive.SendResult, count int, due any) {
	offsetIDs := strings.Split(result.OffsetMsgID, ",")
	for i := range count {
		offsetID := ""
		if i < len(offsetIDs) {
			offsetID = offsetIDs[i]
		}
		line(map[string]any{
			"id":        result.MsgID,
			"offset_id": offsetID,
			"broker":    result.MessageQueue.BrokerName,
			"queue":     result.MessageQueue.QueueId,
			"offset":    result.QueueOffset + int64(i),
			"status":    status(result.Status),
			"due_ms":    due,
		})
	}
}

// status in the words of the Java client.
func status(status primitive.SendStatus) string {
	switch status {
	case primitive.SendOK:
		return "SEND_OK"
	case primitive.SendFlushDiskTimeout:
		return "FLUSH_DISK_TIMEOUT"
	case primitive.SendFlushSlaveTimeout:
		return "FLUSH_SLAVE_TIMEOUT"
	case primitive.SendSlaveNotAvailable:
		return "SLAVE_NOT_AVAILABLE"
	default:
		return fmt.Sprint(status)
	}
}
