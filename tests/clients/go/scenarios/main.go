// Plays the scenarios of tests/test_client_scenarios.py with measured pools: a line a command.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	poolexporter "github.com/pg-pool-exporter/pg-pool-exporter/clients/go"
)

const size = 2

// held is a connection that is checked out.
type held interface {
	ask(statement string) error
	give()
}

// pool is one of the libraries, as an application uses it.
type pool interface {
	take(ctx context.Context) (held, error)
	// use is correct use of a kind: it checks out once and returns.
	use(kind string) error
	// leak is one of the classical mistakes.
	leak(kind string)
	close()
}

var errOops = errors.New("oops")

// request is one that has begun.
type request struct {
	cancel context.CancelFunc
	ended  chan struct{}
	held   held
	err    error
}

// player does what the lines say. A request goes by a number.
type player struct {
	pools    map[string]pool
	requests map[string]*request
}

func (p *player) begin(ctx context.Context, name, number string, seconds float64) *request {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds*1e9))
	r := &request{cancel: cancel, ended: make(chan struct{})}
	asked := p.pools[name]
	p.requests[number] = r
	go func() {
		r.held, r.err = asked.take(ctx)
		cancel()
		close(r.ended)
	}()
	return r
}

func (p *player) obey(words []string) error {
	command, name := words[0], words[1]
	switch command {
	case "open":
		opened, err := open(words[2], name, os.Getenv("DATABASE_URL"))
		p.pools[name] = opened
		return err
	case "take", "keep":
		seconds, _ := strconv.ParseFloat(words[3], 64)
		ctx := context.Background()
		if command == "keep" {
			ctx = poolexporter.LongLived(ctx)
		}
		r := p.begin(ctx, name, words[2], seconds)
		<-r.ended
		return r.err
	case "begin":
		seconds, _ := strconv.ParseFloat(words[3], 64)
		p.begin(context.Background(), name, words[2], seconds)
	case "ended":
		select {
		case <-p.requests[name].ended:
			return p.requests[name].err
		default:
			return errors.New("not yet")
		}
	case "cancel":
		p.requests[name].cancel()
		<-p.requests[name].ended
	case "give":
		p.requests[name].held.give()
		delete(p.requests, name)
	case "ask":
		return p.requests[name].held.ask(strings.Join(words[2:], " "))
	case "forget":
		delete(p.requests, name)
	case "use":
		return p.pools[name].use(words[2])
	case "leak":
		p.pools[name].leak(words[2])
	case "close":
		closing := p.pools[name]
		delete(p.pools, name)
		r := &request{ended: make(chan struct{})}
		p.requests[words[2]] = r
		go func() {
			if closing != nil {
				closing.close()
			}
			close(r.ended)
		}()
	case "collect":
		for range 3 {
			runtime.GC()
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

func main() {
	p := &player{pools: map[string]pool{}, requests: map[string]*request{}}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if err := p.obey(strings.Fields(lines.Text())); err != nil {
			fmt.Println("failed:", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("done")
		}
	}
}
