package mq.foreign;

import com.alibaba.fastjson2.JSON;
import com.alibaba.fastjson2.JSONWriter;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.StringJoiner;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;

/** {@code send | recv | transact | admin | allocate}: one JSON line a message on stdout, 0 = done, 1 = error, 4 = refused, 5 = timed out. */
public final class Main {
    static final int DONE = 0;
    static final int FAILED = 1;
    static final int USAGE = 2;
    static final int REFUSED = 4;
    static final int TIMED_OUT = 5;

    private Main() {
    }

    public static void main(String[] args) {
        // The client's threads are no daemons: without exit the process would outlive its work.
        System.exit(run(args));
    }

    private static int run(String[] args) {
        if (args.length == 0) {
            return usage("which command? send, recv, transact, admin or allocate");
        }
        try {
            if (args[0].equals("allocate")) {
                return Allocate.run();
            }
            Options options = new Options(args, 1);
            switch (args[0]) {
                case "send":
                    return Send.run(options);
                case "recv":
                    return Recv.run(options);
                case "transact":
                    return Transact.run(options);
                case "admin":
                    return Admin.run(options);
                default:
                    return usage("unknown command: " + args[0]);
            }
        } catch (IllegalArgumentException e) {
            return usage(e.getMessage());
        } catch (Exception e) {
            return fail(e);
        }
    }

    /** One flat JSON object on its own line. */
    static void line(Map<String, Object> fields) {
        synchronized (System.out) {
            System.out.println(JSON.toJSONString(fields, JSONWriter.Feature.WriteNulls));
            System.out.flush();
        }
    }

    static int fail(Throwable error) {
        int code = code(error);
        String message = message(error);
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("error", message);
        fields.put("code", code);
        line(fields);
        return refused(code, message) ? REFUSED : FAILED;
    }

    /** With all causes: "Send [3] times, still failed" alone does not say what the broker said. */
    private static String message(Throwable error) {
        StringJoiner message = new StringJoiner(": ");
        for (Throwable e = error; e != null; e = e.getCause()) {
            message.add(String.valueOf(e.getMessage()));
        }
        return message.toString();
    }

    private static int usage(String why) {
        System.err.println(why);
        return USAGE;
    }

    private static int code(Throwable error) {
        for (Throwable e = error; e != null; e = e.getCause()) {
            if (e instanceof MQBrokerException) {
                return ((MQBrokerException) e).getResponseCode();
            }
            if (e instanceof MQClientException && ((MQClientException) e).getResponseCode() > 0) {
                return ((MQClientException) e).getResponseCode();
            }
        }
        return -1;
    }

    /** 5.x says 16 and why; 4.x says 1 with the name of its exception. */
    private static boolean refused(int code, String message) {
        if (code == 1) {
            return message.contains("AclException");
        }
        return code == 16 && (message.contains("signature") || message.contains("username")
            || message.contains("User:") || message.contains("no matched policies"));
    }
}
