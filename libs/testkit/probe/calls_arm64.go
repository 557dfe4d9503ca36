package main

// Numbers that package syscall does not have.
const (
	sysShmget         = 194
	sysShmctl         = 195
	sysProcessVMReadv = 270
	sysMemfdCreate    = 279
)
