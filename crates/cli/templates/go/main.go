package main

import "modularruntime/modrun"

func main() {
	modrun.Run(stage)
}
