//go:build tools

// Package tools pins what `cargo xtask tool` builds from this module.
package tools

import (
	_ "helm.sh/helm/v3/cmd/helm"
)
