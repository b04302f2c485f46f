module modularruntime/modrun

go 1.23
