module calls

go 1.24

require parlor v0.1.0

replace parlor => ./.parlor/sdk
