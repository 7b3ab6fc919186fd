module parlor

go 1.24
