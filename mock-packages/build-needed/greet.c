#include <stdio.h>

int main(void)
{
    return puts("built in the testbed") == EOF;
}
