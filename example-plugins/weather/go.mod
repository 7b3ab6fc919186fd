module plugins/weather

go 1.24

require parlor v0.1.0

// `parlor plugin build` puts it there.
replace parlor => ./.parlor/sdk
