//! Messages about terminals in containers.

messages! {
    /// As many terminals are open as may be.
    FULL = "terminal.full" {
        en: "{limit} terminals are open already, as many as may be at once; close one and try again",
        ko: "이미 터미널 {limit}개가 열려 있으며 동시에 열 수 있는 한도입니다. 하나를 닫고 다시 시도하십시오",
    }
    /// None of the shells is in the container.
    NO_SHELL = "terminal.no-shell" {
        en: "none of the shells {shells} runs in the container: {why}; set `exec.shells` to one that it has, or attach a debug container",
        ko: "컨테이너에서 실행할 수 있는 셸이 없습니다({shells}): {why}. 컨테이너에 있는 셸을 `exec.shells`에 지정하거나 디버그 컨테이너를 연결하십시오",
    }
    /// Nothing was typed or written for long.
    IDLE = "terminal.idle" {
        en: "this terminal was closed since nothing happened in it for {minutes} minutes; open it again to go on",
        ko: "{minutes}분 동안 아무 일이 없어 터미널을 닫았습니다. 계속하려면 다시 여십시오",
    }
    /// It has been open as long as one may be.
    LONGEST = "terminal.longest" {
        en: "this terminal was closed since it was open for {minutes} minutes, the longest that one may be; open it again to go on",
        ko: "터미널을 열어 둘 수 있는 최대 시간 {minutes}분이 지나 닫았습니다. 계속하려면 다시 여십시오",
    }
    /// More went through it than may.
    BYTES = "terminal.bytes" {
        en: "this terminal was closed since {limit} MiB went through it, the most that may; open it again to go on, and copy files another way",
        ko: "터미널로 전송할 수 있는 최대 {limit}MiB를 넘어 닫았습니다. 계속하려면 다시 열고, 파일은 다른 방법으로 복사하십시오",
    }
    /// The terminals of a tenant have used all that they may for now.
    USED_UP = "terminal.used-up" {
        en: "the terminals of this tenant have together used all of their {minutes} minutes, or of their {limit} MiB, for now; close those that nobody needs, and open one again in {seconds} seconds",
        ko: "이 테넌트의 터미널이 함께 쓸 수 있는 {minutes}분 또는 {limit}MiB를 지금은 모두 썼습니다. 필요 없는 터미널을 닫고 {seconds}초 뒤에 다시 여십시오",
    }
    /// Something was sent that a terminal does not understand.
    NOT_UNDERSTOOD = "terminal.not-understood" {
        en: "this terminal was closed since something was sent that it does not understand; send `stdin` or `resize`, and at most {limit} KiB at once",
        ko: "터미널이 이해할 수 없는 메시지를 받아 닫았습니다. `stdin` 또는 `resize`를 한 번에 최대 {limit}KiB까지 보내십시오",
    }
    /// A request for a terminal that does not ask for a websocket.
    NOT_A_WEBSOCKET = "terminal.not-a-websocket" {
        en: "a terminal is opened by a websocket; use a websocket client, and see to it that a proxy on the way lets websockets through",
        ko: "터미널은 웹소켓으로 엽니다. 웹소켓 클라이언트를 사용하고, 중간의 프록시가 웹소켓을 통과시키는지 확인하십시오",
    }
}
