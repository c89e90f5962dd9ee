// The official Go client as a command: `send | recv | transact`, one JSON line a message on
// stdout; 0 = done, 1 = error, 2 = usage, 4 = refused, 5 = timed out.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

const (
	failed   = 1
	usage    = 2
	refused  = 4
	timedOut = 5
)

// options are the flags of both commands; the ones of the other command are ignored.
type options struct {
	namesrv, topic, group, namespace string
	ak, sk, token                    string
	count, size, failFirst           int
	batch, oneway, orderly           bool
	compress, tag, key, prefix, from string
	orderingKey                      string
	properties                       pairs
	timeout, linger                  time.Duration
	deliverIn, deliverStep           time.Duration
	delayLevel                       int
	maxReconsume                     int
	local                            string
	checks                           int
}

type pairs [][2]string

func (p *pairs) String() string { return "" }

func (p *pairs) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok {
		return errors.New("say name=value")
	}
	*p = append(*p, [2]string{name, value})
	return nil
}

func main() {
	// The logger's fall-back for unknown levels is info, and it writes to stderr.
	rlog.SetLogLevel("fatal")
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "which command? send, recv or transact")
		os.Exit(usage)
	}
	o := parse(os.Args[2:])
	switch os.Args[1] {
	case "send":
		os.Exit(send(o))
	case "recv":
		os.Exit(recv(o))
	case "transact":
		os.Exit(transact(o))
	default:
		fmt.Fprintln(os.Stderr, "unknown command: "+os.Args[1])
		os.Exit(usage)
	}
}

func parse(args []string) *options {
	o := &options{}
	flags := flag.NewFlagSet("foreign", flag.ExitOnError)
	flags.StringVar(&o.namesrv, "namesrv", "", "host:port, several with ;")
	flags.StringVar(&o.topic, "topic", "", "")
	flags.StringVar(&o.group, "group", "", "")
	flags.StringVar(&o.namespace, "namespace", "", "")
	flags.StringVar(&o.ak, "ak", "", "access key")
	flags.StringVar(&o.sk, "sk", "", "secret key")
	flags.StringVar(&o.token, "token", "", "security token")
	flags.IntVar(&o.count, "count", 1, "")
	flags.IntVar(&o.size, "size", 0, "pad bodies to this many bytes")
	flags.IntVar(&o.failFirst, "fail-first", 0, "answer the first so many with reconsume later")
	flags.BoolVar(&o.batch, "batch", false, "one batch of all")
	flags.BoolVar(&o.oneway, "oneway", false, "")
	flags.BoolVar(&o.orderly, "orderly", false, "one message of a queue at a time")
	flags.StringVar(&o.compress, "compress", "", "zlib")
	flags.StringVar(&o.tag, "tag", "", "")
	flags.StringVar(&o.key, "key", "", "{i} is the number of the message")
	flags.StringVar(&o.orderingKey, "ordering-key", "", "{i} is the number of the message; chooses the queue by its hash")
	flags.StringVar(&o.prefix, "prefix", "message", "of the body")
	flags.StringVar(&o.from, "from", "first", "first or last")
	flags.IntVar(&o.maxReconsume, "max-reconsume", -1, "")
	flags.StringVar(&o.local, "local", "decide", "decide or unknown")
	flags.IntVar(&o.checks, "checks", 0, "stay until so many half messages were asked about")
	flags.Var(&o.properties, "prop", "name=value")
	flags.DurationVar(&o.timeout, "timeout", 60*time.Second, "")
	flags.DurationVar(&o.deliverIn, "deliver-in", 0, "schedule the first message so long from now")
	flags.DurationVar(&o.deliverStep, "deliver-step", 0, "and each further one so much later")
	flags.IntVar(&o.delayLevel, "delay-level", 0, "")
	flags.DurationVar(&o.linger, "linger", 0, "stay so long after the last wanted message")
	_ = flags.Parse(args)
	if o.namesrv == "" || o.topic == "" || o.group == "" || flags.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "--namesrv, --topic and --group are required, and nothing but options")
		os.Exit(usage)
	}
	if o.compress != "" && o.compress != "zlib" {
		fmt.Fprintln(os.Stderr, "this client writes zlib only")
		os.Exit(usage)
	}
	return o
}

func (o *options) credentials() primitive.Credentials {
	return primitive.Credentials{AccessKey: o.ak, SecretKey: o.sk, SecurityToken: o.token}
}

func (o *options) servers() []string { return strings.Split(o.namesrv, ";") }

var stdout sync.Mutex

// line prints one JSON object on its own line.
func line(fields map[string]any) {
	stdout.Lock()
	defer stdout.Unlock()
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(fields)
}

var codePattern = regexp.MustCompile(`CODE: (-?\d+)`)

// fail prints the error; the client has the broker's code only inside its text.
func fail(err error) int {
	code := -1
	if found := codePattern.FindStringSubmatch(err.Error()); found != nil {
		code, _ = strconv.Atoi(found[1])
	}
	line(map[string]any{"error": err.Error(), "code": code})
	if isRefusal(code, err.Error()) {
		return refused
	}
	return failed
}

// isRefusal: 5.x says 16 and why; 4.x says 1 with the name of its exception.
func isRefusal(code int, text string) bool {
	if code == 1 {
		return strings.Contains(text, "AclException")
	}
	if code != 16 {
		return false
	}
	for _, word := range []string{"signature", "username", "User:", "no matched policies"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}
