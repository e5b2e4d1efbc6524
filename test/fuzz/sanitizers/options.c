/* Compiled into the helper of test/fuzz/helper.test.ts only: it starts with an empty environment, so its options are here. */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

/* Leaks are none: each process of the helper is short. The status is one that the helper has not. */
const char *__asan_default_options(void) {
	return "detect_leaks=0:exitcode=66:detect_stack_use_after_return=0:log_path=" LOG;
}

const char *__ubsan_default_options(void) {
	return "print_stacktrace=1:exitcode=66:log_path=" LOG;
}
