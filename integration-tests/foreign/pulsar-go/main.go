// pulsar-client-go as a command: `send | recv`, one JSON line a message on stdout; 0 = done, 1 = error, 2 = usage,
// 5 = timed out. The flags are those of foreign/pulsar-java's Once.java, which says what they are.
package main

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/apache/pulsar-client-go/pulsar"
	"github.com/apache/pulsar-client-go/pulsar/log"
)

const (
	failed   = 1
	usage    = 2
	timedOut = 5
)

// options are the flags of both commands; the ones of the other command are ignored.
type options struct {
	url, topic, subscription    string
	messages, compression, hash string
	kind, ack, batchIndex       string
	batch, count, queue         int
	idle, timeout               int
}

// message is what is sent. This client has no null values: without a value it is an empty one.
type message struct {
	Value       *string           `json:"value"`
	Key         string            `json:"key"`
	OrderingKey string            `json:"ordering_key"`
	Properties  map[string]string `json:"properties"`
	EventTime   int64             `json:"event_time"`
}

func main() {
	if len(os.Args) < 2 {
		os.Exit(usage)
	}
	o := parse(os.Args[2:])
	client, err := pulsar.NewClient(pulsar.ClientOptions{
		URL:              o.url,
		OperationTimeout: 20 * time.Second,
		Logger:           log.DefaultNopLogger(),
	})
	if err != nil {
		os.Exit(fail(err))
	}
	code := usage
	switch os.Args[1] {
	case "send":
		code = send(client, o)
	case "recv":
		code = recv(client, o)
	}
	client.Close()
	os.Exit(code)
}

func parse(args []string) *options {
	o := &options{}
	flags := flag.NewFlagSet("foreign", flag.ExitOnError)
	flags.StringVar(&o.url, "url", "", "")
	flags.StringVar(&o.topic, "topic", "", "")
	flags.StringVar(&o.subscription, "subscription", "", "")
	flags.StringVar(&o.messages, "messages", "[]", "")
	flags.StringVar(&o.compression, "compression", "none", "")
	flags.StringVar(&o.hash, "hash", "", "java or murmur3")
	flags.StringVar(&o.kind, "type", "exclusive", "exclusive or shared")
	flags.StringVar(&o.ack, "ack", "all", "all, none, or numbers")
	flags.IntVar(&o.batch, "batch", 0, "")
	flags.IntVar(&o.count, "count", 1, "")
	flags.IntVar(&o.queue, "queue", 1000, "")
	flags.StringVar(&o.batchIndex, "batch-index", "false", "true or false")
	flags.IntVar(&o.idle, "idle-ms", 0, "")
	flags.IntVar(&o.timeout, "timeout-ms", 60_000, "")
	_ = flags.Parse(args)
	return o
}

// line prints one JSON object on its own line.
func line(fields map[string]any) {
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(fields)
}

func fail(err error) int {
	line(map[string]any{"error": err.Error(), "code": -1})
	return failed
}

func place(id pulsar.MessageID) map[string]any {
	return map[string]any{
		"ledger":      id.LedgerID(),
		"entry":       id.EntryID(),
		"partition":   id.PartitionIdx(),
		"batch_index": id.BatchIdx(),
	}
}

func base64Of(text string) any {
	if text == "" {
		return nil
	}
	return base64.StdEncoding.EncodeToString([]byte(text))
}

func textOf(encoded string) string {
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(usage)
	}
	return string(decoded)
}
