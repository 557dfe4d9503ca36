package main

// Numbers that package syscall does not have.
const (
	sysShmget         = 29
	sysShmctl         = 31
	sysProcessVMReadv = 310
	sysMemfdCreate    = 319
)
