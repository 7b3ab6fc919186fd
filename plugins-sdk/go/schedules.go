package parlor

import (
	"context"
	"fmt"
	"time"

	"parlor/contract/schedules"
	"parlor/contract/types"
	"parlor/contract/wit"
)

const (
	// CatchUp is how many missed due times a schedule usually tells: the latest one. 0 skips them all, and at most 1,000 are told.
	CatchUp = 1
)

// DueTime is a due time of a schedule of this plugin.
type DueTime struct {
	// Name is that of the schedule.
	Name string
	// Due is the time at which it is due, Late how long after that the host told the plugin.
	Due  time.Time
	Late time.Duration
	// Missed counts due times of this schedule that were missed right before it, and are not told.
	Missed int
	// Attempt is the number of this delivery: 1 for the first, then 2 and so on.
	Attempt int
}

// Schedule is one that this plugin has set. It has Every, At, or Cron with Zone.
type Schedule struct {
	Name string
	// Every is its period, counted from when it was set.
	Every time.Duration
	// At is when it is due once.
	At time.Time
	// Cron is an expression, which counts in Zone.
	Cron, Zone string
	// CatchUp is how many missed due times are told.
	CatchUp int
	// Next is the next due time; zero while the last one is still told.
	Next time.Time
	// Paused says that the owner has paused it.
	Paused bool
}

// OnSchedule has a handler called at each due time of the schedule of this name. Free.
//
//	parlor.OnSchedule("standup", func(ctx context.Context, due *parlor.DueTime) error {
//		_, err := parlor.RoomsSend(ctx, "hall@rooms.example.org", "Standup!")
//		return err
//	})
func OnSchedule(name string, handler func(ctx context.Context, due *DueTime) error) (Subscription, error) {
	return On("schedule", Filter{Schedule: name}, func(ctx context.Context, event *Event) error {
		return handler(ctx, event.Due)
	})
}

// SchedulesEvery sets a schedule that is due after each such period from now, at least a minute, and gives its first due time. The host
// keeps it on disk: it outlives restarts and updates. One of this name that is there already is replaced; where nothing about it changes,
// it goes on as it was. Due times that pass while the plugin or the host does not run are missed; catchUp says how many of them, the
// latest ones, are told when it runs again. Free; the limit schedules says how many there may be at once.
//
//	parlor.SchedulesEvery(ctx, "backup", 6*time.Hour, parlor.CatchUp)
func SchedulesEvery(ctx context.Context, name string, period time.Duration, catchUp int) (time.Time, error) {
	return timeOf(call(ctx, name, func() wit.Result[string, types.Error] {
		return schedules.Every(name, milliseconds(period), missed(catchUp))
	}))
}

// SchedulesAt sets a schedule that is due once. It gives false where that time has passed: then nothing was set. Free.
func SchedulesAt(ctx context.Context, name string, due time.Time, catchUp int) (bool, error) {
	return call(ctx, name, func() wit.Result[bool, types.Error] { return schedules.At(name, instant(due), missed(catchUp)) })
}

// SchedulesCron sets a schedule by a cron expression of five fields, such as "0 9 * * MON-FRI", in a zone such as Europe/Berlin or UTC,
// and gives its first due time. It gives Invalid where there is no such zone, or it is no cron expression, or is never due. Free.
func SchedulesCron(ctx context.Context, name, expression, zone string, catchUp int) (time.Time, error) {
	return timeOf(call(ctx, name, func() wit.Result[string, types.Error] {
		return schedules.Cron(name, expression, zone, missed(catchUp))
	}))
}

// SchedulesList gives this plugin's schedules, by name. Free.
func SchedulesList(ctx context.Context) ([]Schedule, error) {
	all, err := call(ctx, "", func() wit.Result[[]schedules.Schedule, types.Error] { return schedules.List() })
	if err != nil {
		return nil, err
	}
	shown := make([]Schedule, len(all))
	for at, one := range all {
		if shown[at], err = newSchedule(one); err != nil {
			return nil, err
		}
	}
	return shown, nil
}

// SchedulesCancel ends a schedule, and says whether there was one of this name. Free.
func SchedulesCancel(ctx context.Context, name string) (bool, error) {
	return call(ctx, name, func() wit.Result[bool, types.Error] { return schedules.Cancel(name) })
}

// SchedulesToLocal is the moment with the offset that clocks in a zone have then, and its short name. Go itself knows zones only with
// time/tzdata. It gives Invalid where there is no such zone. Free.
func SchedulesToLocal(moment time.Time, zone string) (time.Time, error) {
	local, err := Value(schedules.ToLocal(instant(moment), zone))
	if err != nil {
		return time.Time{}, err
	}
	return moment.In(time.FixedZone(local.Abbreviation, int(local.Offset))), nil
}

// SchedulesFormat writes a moment as clocks in a zone show it, by a pattern of strftime, such as "%A, %H:%M". It gives Invalid where
// there is no such zone, or the pattern has something that is unknown. Free.
func SchedulesFormat(moment time.Time, zone, pattern string) (string, error) {
	return Value(schedules.Format(instant(moment), zone, pattern))
}

// SchedulesParse is the moment that a text means, as a person in a zone writes it: "2026-11-20 09:00", "9:00", "today 9:00",
// "tomorrow 9:00", "friday 9:00", "in 2 hours 30 minutes". It gives Invalid where it cannot be read. Free.
func SchedulesParse(text, zone string) (time.Time, error) {
	return timeOf(Value(schedules.Parse(text, zone)))
}

func newDueTime(raw types.DueTime) (*DueTime, error) {
	due, err := time.Parse(time.RFC3339Nano, raw.Due)
	if err != nil {
		return nil, err
	}
	late := time.Duration(bounded(raw.Late)) * time.Millisecond
	return &DueTime{Name: raw.Name, Due: due, Late: late, Missed: int(raw.Missed), Attempt: int(raw.Attempt)}, nil
}

func newSchedule(raw schedules.Schedule) (Schedule, error) {
	shown := Schedule{Name: raw.Name, CatchUp: int(raw.CatchUp), Paused: raw.Paused}
	var err error
	switch raw.Timing.Tag() {
	case schedules.TimingEvery:
		shown.Every = time.Duration(raw.Timing.Every()) * time.Millisecond
	case schedules.TimingAt:
		shown.At, err = time.Parse(time.RFC3339Nano, raw.Timing.At())
	case schedules.TimingCron:
		cron := raw.Timing.Cron()
		shown.Cron, shown.Zone = cron.F0, cron.F1
	default:
		err = fmt.Errorf("a timing of case %d", raw.Timing.Tag())
	}
	if next, ok := raw.Next.Get(); ok && err == nil {
		shown.Next, err = time.Parse(time.RFC3339Nano, next)
	}
	return shown, err
}

func timeOf(text string, err error) (time.Time, error) {
	if err != nil {
		return time.Time{}, err
	}
	return time.Parse(time.RFC3339Nano, text)
}

func instant(moment time.Time) string { return moment.UTC().Format(time.RFC3339Nano) }

// A number that the contract has no room for, such as -1, becomes one that the host refuses.
func missed(catchUp int) uint32 {
	if catchUp < 0 || catchUp > 1<<16 {
		return 1 << 16
	}
	return uint32(catchUp)
}
