// rocketmq-client-go: as many goroutines as may be in flight, each with SendSync; or a push consumer.
// SendAsync is no faster in this client and costs as much.
package main

import (
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

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

// job is `send|drain|ordered NAMESRV TOPIC N SIZE IN_FLIGHT`, and the variables BENCH_WARM and BENCH_GROUP.
type job struct {
	mode, namesrv, topic, group string
	count, size, inFlight, warm int
}

func main() {
	rlog.SetLogLevel("fatal")
	if len(os.Args) != 7 {
		fail("usage: send|drain|ordered NAMESRV TOPIC N SIZE IN_FLIGHT")
	}
	j := &job{
		mode: os.Args[1], namesrv: os.Args[2], topic: os.Args[3], group: os.Getenv("BENCH_GROUP"),
		count: number(os.Args[4]), size: number(os.Args[5]), inFlight: max(1, number(os.Args[6])),
		warm: number(os.Getenv("BENCH_WARM")),
	}
	switch j.mode {
	case "send":
		send(j)
	case "drain", "ordered":
		drain(j)
	default:
		fail("send, drain or ordered, not " + j.mode)
	}
}

func send(j *job) {
	p, err := rocketmq.NewProducer(
		producer.WithNsResolver(primitive.NewPassthroughResolver([]string{j.namesrv})),
		producer.WithGroupName(j.group),
	)
	check(err)
	check(p.Start())
	sendAll(p, j, j.warm)
	w := begin()
	micros, errors := sendAll(p, j, j.count)
	seconds, cpu := w.end()
	slices.Sort(micros)
	at := func(part float64) int64 {
		if len(micros) == 0 {
			return 0
		}
		return micros[min(len(micros)-1, int(float64(len(micros))*part))]
	}
	report(j, seconds, cpu, errors, fmt.Sprintf(`{"p50":%d,"p99":%d}`, at(0.5), at(0.99)))
	check(p.Shutdown())
}

func sendAll(p rocketmq.Producer, j *job, count int) ([]int64, int64) {
	var left, errors atomic.Int64
	left.Store(int64(count))
	all := make([][]int64, j.inFlight)
	var group sync.WaitGroup
	for i := range all {
		group.Add(1)
		go func() {
			defer group.Done()
			for left.Add(-1) >= 0 {
				message := primitive.NewMessage(j.topic, []byte(strings.Repeat("x", j.size)))
				begun := time.Now()
				if _, err := p.SendSync(context.Background(), message); err != nil {
					if errors.Add(1) == 1 {
						fmt.Fprintln(os.Stderr, err)
					}
					continue
				}
				all[i] = append(all[i], time.Since(begun).Microseconds())
			}
		}()
	}
	group.Wait()
	return slices.Concat(all...), errors.Load()
}

func drain(j *job) {
	c, err := rocketmq.NewPushConsumer(
		consumer.WithNsResolver(primitive.NewPassthroughResolver([]string{j.namesrv})),
		consumer.WithGroupName(j.group),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
		consumer.WithConsumerOrder(j.mode == "ordered"),
	)
	check(err)
	var seen, redelivered atomic.Int64
	var w window
	type result struct{ seconds, cpu float64 }
	// The window is opened before the messages that are counted in it.
	var opened sync.WaitGroup
	opened.Add(1)
	done := make(chan result, 1)
	listener := func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		for _, message := range messages {
			if message.ReconsumeTimes > 0 {
				redelivered.Add(1)
			}
			if len(message.Body) != j.size {
				fail("a body of another size")
			}
			switch seen.Add(1) {
			case int64(j.warm):
				w = begin()
				opened.Done()
			case int64(j.warm + j.count):
				opened.Wait()
				seconds, cpu := w.end()
				done <- result{seconds, cpu}
			}
		}
		return consumer.ConsumeSuccess, nil
	}
	check(c.Subscribe(j.topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "*"}, listener))
	check(c.Start())
	select {
	case r := <-done:
		report(j, r.seconds, r.cpu, redelivered.Load(), "null")
	case <-time.After(2 * time.Minute):
		fail(fmt.Sprintf("only %d messages came", seen.Load()))
	}
	check(c.Shutdown())
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
