package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/apache/pulsar-client-go/pulsar"
)

var compressions = map[string]pulsar.CompressionType{
	"none":   pulsar.NoCompression,
	"lz4":    pulsar.LZ4,
	"zlib":   pulsar.ZLib,
	"zstd":   pulsar.ZSTD,
	"snappy": pulsar.SNAPPY,
}

func send(client pulsar.Client, o *options) int {
	var messages []message
	if err := json.Unmarshal([]byte(o.messages), &messages); err != nil {
		return fail(err)
	}
	compression, known := compressions[o.compression]
	if !known {
		return fail(fmt.Errorf("no compression %s", o.compression))
	}
	wanted := pulsar.ProducerOptions{
		Topic:           o.topic,
		CompressionType: compression,
		DisableBatching: o.batch == 0,
	}
	if o.batch > 0 {
		// Only its size, or a flush, closes a batch.
		wanted.BatchingMaxMessages = uint(o.batch)
		wanted.BatchingMaxPublishDelay = 30 * time.Second
	}
	if o.hash == "murmur3" {
		wanted.HashingScheme = pulsar.Murmur3_32Hash
	}
	producer, err := client.CreateProducer(wanted)
	if err != nil {
		return fail(err)
	}
	defer producer.Close()
	return sendAll(producer, messages)
}

type stored struct {
	number int
	id     pulsar.MessageID
	err    error
}

// sendAll prints them in their order, in whichever the answers come.
func sendAll(producer pulsar.Producer, messages []message) int {
	answers := make(chan stored, len(messages))
	for i := range messages {
		made := prepared(&messages[i])
		producer.SendAsync(context.Background(), made, func(id pulsar.MessageID, _ *pulsar.ProducerMessage, err error) {
			answers <- stored{i, id, err}
		})
	}
	if err := producer.Flush(); err != nil {
		return fail(err)
	}
	ids := make([]pulsar.MessageID, len(messages))
	for range messages {
		answer := <-answers
		if answer.err != nil {
			return fail(answer.err)
		}
		ids[answer.number] = answer.id
	}
	for _, id := range ids {
		line(place(id))
	}
	return 0
}

func prepared(given *message) *pulsar.ProducerMessage {
	made := &pulsar.ProducerMessage{
		Payload:    []byte{},
		Key:        given.Key,
		Properties: given.Properties,
	}
	if given.Value != nil {
		made.Payload = []byte(textOf(*given.Value))
	}
	if given.OrderingKey != "" {
		made.OrderingKey = textOf(given.OrderingKey)
	}
	if given.EventTime > 0 {
		made.EventTime = time.UnixMilli(given.EventTime)
	}
	return made
}
