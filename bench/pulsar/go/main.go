// pulsar-client-go: one producer by SendAsync, or one consumer that acknowledges each message.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/apache/pulsar-client-go/pulsar"
	"github.com/apache/pulsar-client-go/pulsar/log"
)

// job is `publish|single|paced|consume URL TOPIC N SIZE WINDOW`, and the variables BENCH_WARM, BENCH_GROUP and BENCH_SETS.
// WINDOW is what may be in flight or wait to be received; of paced, messages a second.
type job struct {
	mode, url, topic, group   string
	count, size, window, warm int
}

// pacedWindow is more than are ever under way at a rate that the broker keeps up with.
const pacedWindow = 10000

func main() {
	if len(os.Args) != 7 {
		fail("usage: publish|single|paced|consume URL TOPIC N SIZE WINDOW")
	}
	j := &job{
		mode: os.Args[1], url: os.Args[2], topic: os.Args[3], group: os.Getenv("BENCH_GROUP"),
		count: number(os.Args[4]), size: number(os.Args[5]), window: max(1, number(os.Args[6])),
		warm: number(os.Getenv("BENCH_WARM")),
	}
	client, err := pulsar.NewClient(pulsar.ClientOptions{URL: j.url, Logger: log.DefaultNopLogger()})
	check(err)
	defer client.Close()
	switch j.mode {
	case "publish", "single", "paced":
		sends(client, j)
	case "consume":
		receives(client, j)
	default:
		fail("publish, single, paced or consume, not " + j.mode)
	}
}

func sends(client pulsar.Client, j *job) {
	window := j.window
	if j.mode == "paced" {
		window = pacedWindow
	}
	producer, err := client.CreateProducer(pulsar.ProducerOptions{
		Topic: j.topic, MaxPendingMessages: window, DisableBatching: j.mode == "single",
		BatchingMaxMessages: 1000, BatchingMaxSize: 128 * 1024, BatchingMaxPublishDelay: time.Millisecond,
	})
	check(err)
	send(producer, j, j.warm)
	w := begin()
	micros, errors := send(producer, j, j.count)
	seconds, cpu := w.end()
	slices.Sort(micros)
	at := func(part float64) int64 {
		if len(micros) == 0 {
			return 0
		}
		return micros[min(len(micros)-1, int(float64(len(micros))*part))]
	}
	report(j, seconds, cpu, errors, fmt.Sprintf(`{"p50":%d,"p99":%d}`, at(0.5), at(0.99)))
	producer.Close()
}

// send waits until every message has its answer. What is measured of each begins before the call, which waits while the window is full.
func send(producer pulsar.Producer, j *job, count int) ([]int64, int64) {
	micros := make([]int64, count)
	body := bytes.Repeat([]byte("x"), j.size)
	var errors atomic.Int64
	var group sync.WaitGroup
	group.Add(count)
	first := time.Now()
	for i := range count {
		if j.mode == "paced" {
			time.Sleep(time.Until(first.Add(time.Second / time.Duration(j.window) * time.Duration(i))))
		}
		begun := time.Now()
		done := func(_ pulsar.MessageID, _ *pulsar.ProducerMessage, err error) {
			micros[i] = time.Since(begun).Microseconds()
			if err != nil && errors.Add(1) == 1 {
				fmt.Fprintln(os.Stderr, err)
			}
			group.Done()
		}
		producer.SendAsync(context.Background(), &pulsar.ProducerMessage{Payload: body}, done)
	}
	check(producer.FlushWithCtx(context.Background()))
	group.Wait()
	return micros, errors.Load()
}

func receives(client pulsar.Client, j *job) {
	consumer, err := client.Subscribe(pulsar.ConsumerOptions{
		Topic: j.topic, SubscriptionName: j.group, Type: pulsar.Exclusive, ReceiverQueueSize: j.window,
		SubscriptionInitialPosition:    pulsar.SubscriptionPositionEarliest,
		EnableBatchIndexAcknowledgment: os.Getenv("BENCH_SETS") != "",
	})
	check(err)
	receive(consumer, j, j.warm)
	w := begin()
	redelivered := receive(consumer, j, j.count)
	seconds, cpu := w.end()
	report(j, seconds, cpu, redelivered, "null")
	consumer.Close()
}

func receive(consumer pulsar.Consumer, j *job, count int) int64 {
	var redelivered int64
	for range count {
		message, ok := <-consumer.Chan()
		if !ok {
			fail("the consumer ended")
		}
		if len(message.Payload()) != j.size {
			fail("a body of another size")
		}
		if message.RedeliveryCount() > 0 {
			redelivered++
		}
		check(consumer.Ack(message))
	}
	return redelivered
}

type window struct {
	begun time.Time
	cpu   float64
}
// begin says so on stderr, for whoever watches the broker meanwhile.
func begin() window {
	fmt.Fprintln(os.Stderr, "begin")
	return window{time.Now(), cpuSeconds()}
}

func (w window) end() (float64, float64) {
	return time.Since(w.begun).Seconds(), cpuSeconds() - w.cpu
}

func report(j *job, seconds, cpu float64, errors int64, latency string) {
	n := float64(j.count)
	fmt.Printf(`{"mode":"%s","count":%d,"seconds":%f,"messages_per_second":%f,"cpu_us_per_message":%f,`+
		`"peak_rss_bytes":%d,"errors":%d,"latency_us":%s}`+"\n",
		j.mode, j.count, seconds, n/seconds, cpu*1e6/n, peakRSS(), errors, latency)
}

// cpuSeconds is user and system time of all threads.
func cpuSeconds() float64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func peakRSS() int {
	status, err := os.ReadFile("/proc/self/status")
	check(err)
	for _, line := range strings.Split(string(status), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return number(strings.Fields(rest)[0]) * 1024
		}
	}
	return 0
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(1)
}
