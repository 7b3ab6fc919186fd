// Says what the weather is like: `!weather Verona`.
package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"

	"parlor"
)

func main() { parlor.Start(start) }

func start(ctx context.Context) error {
	_, err := parlor.CommandsDeclare(ctx, parlor.Declaration{
		Name: "weather", Help: "Says what the weather is like",
		Arguments: []parlor.Argument{parlor.RestArgument("city").Optional()},
	}, tell)
	return err
}

func tell(ctx context.Context, command *parlor.Command) error {
	city := command.Text("city")
	if city == "" {
		city = parlor.SettingsGet("city", "")
	}
	if city == "" {
		return parlor.Answer(ctx, command, "Where? Say: !weather Verona")
	}
	answer, err := weather(ctx, city)
	if err != nil {
		return err
	}
	return parlor.Answer(ctx, command, answer)
}

// The part of the service's answer that people are told.
type report struct {
	Name string
	// Without it, the service does not know the temperature, which is not 0.
	Main struct{ Temp *float64 }

	Weather []struct{ Description string }
}

func (now report) String() string {
	var known []string
	if now.Main.Temp != nil {
		known = append(known, fmt.Sprintf("%d °C", int(math.Round(*now.Main.Temp))))
	}
	for _, sky := range now.Weather {
		known = append(known, sky.Description)
	}
	return now.Name + ": " + strings.Join(known, ", ")
}

func (now report) isEmpty() bool { return now.Main.Temp == nil && len(now.Weather) == 0 }

func weather(ctx context.Context, city string) (string, error) {
	answer, err := parlor.HTTPDo(ctx, parlor.HTTPRequest{
		URL:         "https://api.openweathermap.org/data/2.5/weather?units=metric&q=" + url.QueryEscape(city) + "&appid={{api_key}}",
		Credentials: []string{"api_key"},
	})
	var unreachable *parlor.Unreachable
	if errors.As(err, &unreachable) || errors.Is(err, parlor.ErrTimedOut) {
		return "The weather service does not answer.", nil
	}
	if err != nil {
		return "", err
	}
	switch {
	case answer.Status == 400 || answer.Status == 404:
		return "The weather service does not know " + city + ".", nil
	case answer.Status == 429:
		return "The weather service was asked too often. Try later.", nil
	case answer.Status >= 500:
		return "The weather service does not answer.", nil
	}
	if err := answer.Success(); err != nil {
		return "", err
	}
	var now report
	if err := answer.JSON(&now); err != nil {
		return "", err
	}
	if now.isEmpty() {
		return "The weather service does not know the weather in " + city + ".", nil
	}
	return now.String(), nil
}
