//go:build tools

// Package tools pins what `cargo xtask tool` builds from this module.
package tools

import (
	_ "go.etcd.io/etcd/server/v3"
)
