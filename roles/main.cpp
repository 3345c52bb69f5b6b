// The table of subcommands.
int main() { return 2; }
