package parlor

import (
	"context"
	"time"

	"parlor/contract/timers"
	"parlor/internal/tasks"
)

// After calls a function once, after so long. A plugin may have 64 of these and of Every's at once, unless its owner says otherwise;
// of what time.AfterFunc calls as many as it likes. Free.
func After(after time.Duration, later func(context.Context) error) (Subscription, error) {
	return timer(subscribe(timers.After(milliseconds(after)), &listener{handle: ignoring(later), once: true}))
}

// Every calls it again and again; a period is at least 10 milliseconds. Free.
func Every(period time.Duration, later func(context.Context) error) (Subscription, error) {
	return timer(subscribe(timers.Every(milliseconds(period)), &listener{handle: ignoring(later)}))
}

// Sleep waits, no longer than the context lasts; time.Sleep does the same without asking a context. Free.
func Sleep(ctx context.Context, duration time.Duration) error {
	if err := ended(ctx); err != nil {
		return err
	}
	if ctx.Done() == nil {
		own := tasks.Own()
		timers.Sleep(milliseconds(duration))
		if own.IsCancelled() {
			return ErrStopped
		}
		return nil
	}
	// A call of the host cannot be given up, and others may end the context meanwhile.
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func timer(subscription Subscription, err error) (Subscription, error) {
	subscription.timer = true
	return subscription, err
}

func ignoring(later func(context.Context) error) Handler {
	return func(ctx context.Context, _ *Event) error { return later(ctx) }
}

// Whole ones, rounded up: nothing comes too early.
func milliseconds(duration time.Duration) uint64 {
	if duration <= 0 {
		return 0
	}
	return uint64((duration + time.Millisecond - 1) / time.Millisecond)
}

// Why a context has ended. The clock of Go stands while the host is called, so that a deadline may have passed unseen.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}
