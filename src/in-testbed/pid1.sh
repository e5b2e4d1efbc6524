while cat <&3 >/dev/null 2>&1 & wait $!; [ $? != 0 ]; do :; done
