package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"parlor"
)

func main() { parlor.Start(start) }

var lock sync.Mutex
var given = make(chan string)

func start(ctx context.Context) error {
	for name, handle := range map[string]func(context.Context, *parlor.Command) error{
		"slow": slow, "fast": fast, "sleep": sleep, "locked": locked, "take": take, "give": give, "exit": exit, "spin": spin, "ask": ask,
		"later": later, "store": store, "many": many, "cancel": cancel, "naps": naps, "stopped": stopped,
	} {
		if _, err := parlor.OnCommand(ctx, name, name, "", handle); err != nil {
			return err
		}
	}
	parlor.OnStop(func(ctx context.Context) error {
		time.Sleep(10 * time.Millisecond)
		return parlor.StorageSet(ctx, "stopped", true, 0)
	})
	return both(ctx)
}

func stopped(ctx context.Context, c *parlor.Command) error {
	stopped, _, err := parlor.StorageGet[bool](ctx, "stopped")
	if err != nil {
		return err
	}
	return parlor.Reply(ctx, c.Message, fmt.Sprint(stopped))
}

// Sleeps while the plugin has all the timers that it may have
func naps(ctx context.Context, c *parlor.Command) error {
	for {
		if _, err := parlor.After(time.Hour, func(context.Context) error { return nil }); err != nil {
			break
		}
	}
	began := time.Now()
	for range 20 {
		time.Sleep(time.Millisecond)
	}
	return parlor.Reply(ctx, c.Message, fmt.Sprint(time.Since(began) < 100*time.Millisecond))
}

func cancel(ctx context.Context, c *parlor.Command) error {
	ending, end := context.WithCancel(ctx)
	time.AfterFunc(time.Second, end)
	err := parlor.Sleep(ending, time.Hour)
	return parlor.Reply(ctx, c.Message, fmt.Sprint(err))
}

// Two handlers hear it
func both(ctx context.Context) error {
	asks := func(ctx context.Context, m *parlor.Message) error {
		if _, err := parlor.AskAuthor(ctx, m, parlor.Question{Text: "sure?"}); err != nil {
			return err
		}
		return parlor.Reply(ctx, m, "asked")
	}
	if _, err := parlor.OnMessage(parlor.Filter{Prefix: "both"}, asks); err != nil {
		return err
	}
	hears := func(ctx context.Context, m *parlor.Message) error { return parlor.Reply(ctx, m, "heard") }
	_, err := parlor.OnMessage(parlor.Filter{Prefix: "both"}, hears)
	return err
}

func slow(ctx context.Context, c *parlor.Command) error {
	if err := parlor.Sleep(ctx, 2*time.Second); err != nil {
		return err
	}
	return parlor.Reply(ctx, c.Message, "slow is done")
}
func fast(ctx context.Context, c *parlor.Command) error {
	return parlor.Reply(ctx, c.Message, "fast is done")
}
func sleep(ctx context.Context, c *parlor.Command) error {
	time.Sleep(time.Second)
	return parlor.Reply(ctx, c.Message, "slept")
}
func locked(ctx context.Context, c *parlor.Command) error {
	lock.Lock()
	defer lock.Unlock()
	_ = parlor.Sleep(ctx, time.Second)
	return parlor.Reply(ctx, c.Message, "had the lock")
}

// Waits for another handler alone
func take(ctx context.Context, c *parlor.Command) error {
	text := <-given
	return parlor.Reply(ctx, c.Message, "was given "+text)
}
func give(ctx context.Context, c *parlor.Command) error {
	given <- "a rose"
	return parlor.Reply(ctx, c.Message, "gave it")
}
func exit(ctx context.Context, c *parlor.Command) error {
	runtime.Goexit()
	return nil
}
func spin(ctx context.Context, c *parlor.Command) error {
	for range 500 {
		runtime.Gosched()
	}
	return parlor.Reply(ctx, c.Message, "spun")
}
func ask(ctx context.Context, c *parlor.Command) error {
	a, err := parlor.AskAuthor(ctx, c.Message, parlor.Question{Text: "which?"})
	if err != nil {
		return err
	}
	return parlor.Reply(ctx, c.Message, "so "+a.Text)
}
func later(ctx context.Context, c *parlor.Command) error {
	go func() {
		time.Sleep(500 * time.Millisecond)
		_ = parlor.Reply(ctx, c.Message, "later")
	}()
	return nil
}
func store(ctx context.Context, c *parlor.Command) error {
	for i := range 50 {
		if err := parlor.StorageSet(ctx, fmt.Sprint("key", i), make([]int, 1000), 0); err != nil {
			return err
		}
		v, _, err := parlor.StorageGet[[]int](ctx, fmt.Sprint("key", i))
		if err != nil {
			return err
		}
		if len(v) != 1000 {
			return fmt.Errorf("got %d", len(v))
		}
	}
	return parlor.Reply(ctx, c.Message, "stored")
}
func many(ctx context.Context, c *parlor.Command) error {
	var all sync.WaitGroup
	for i := range 100 {
		all.Add(1)
		go func() {
			defer all.Done()
			_ = parlor.Sleep(ctx, time.Duration(i)*time.Millisecond)
		}()
	}
	all.Wait()
	return parlor.Reply(ctx, c.Message, "all 100")
}
