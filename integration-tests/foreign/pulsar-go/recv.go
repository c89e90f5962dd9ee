package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/pulsar-client-go/pulsar"
)

func recv(client pulsar.Client, o *options) int {
	kind := pulsar.Exclusive
	if o.kind == "shared" {
		kind = pulsar.Shared
	}
	consumer, err := client.Subscribe(pulsar.ConsumerOptions{
		Topic:                          o.topic,
		SubscriptionName:               o.subscription,
		Type:                           kind,
		SubscriptionInitialPosition:    pulsar.SubscriptionPositionEarliest,
		ReceiverQueueSize:              o.queue,
		EnableBatchIndexAcknowledgment: o.batchIndex == "true",
	})
	if err != nil {
		return fail(err)
	}
	defer consumer.Close()
	fmt.Fprintln(os.Stderr, "ready")
	wait := o.timeout
	if o.idle > 0 {
		wait = o.idle
	}
	numbers := strings.Split(o.ack, ",")
	for i := range o.count {
		message, err := next(consumer, wait)
		if errors.Is(err, context.DeadlineExceeded) {
			if o.idle > 0 {
				return 0
			}
			return timedOut
		}
		if err != nil {
			return fail(err)
		}
		show(message)
		if o.ack == "all" || slices.Contains(numbers, strconv.Itoa(i)) {
			if err := consumer.Ack(message); err != nil {
				return fail(err)
			}
		}
	}
	return 0
}

func next(consumer pulsar.Consumer, wait int) (pulsar.Message, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(wait)*time.Millisecond)
	defer cancel()
	return consumer.Receive(ctx)
}

// show: what has no key, or no event time, is as one that has an empty key, or that of 1970.
func show(message pulsar.Message) {
	fields := place(message.ID())
	fields["value"] = base64.StdEncoding.EncodeToString(message.Payload())
	fields["key"] = nil
	if message.Key() != "" {
		fields["key"] = message.Key()
	}
	fields["ordering_key"] = base64Of(message.OrderingKey())
	fields["properties"] = message.Properties()
	fields["event_time"] = max(message.EventTime().UnixMilli(), 0)
	line(fields)
}
