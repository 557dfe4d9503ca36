import "nowhere.libsonnet"
